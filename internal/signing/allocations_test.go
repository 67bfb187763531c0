//go:build !race

package signing_test

import "testing"

// TestSigner_allocations does not run with the race detector, which makes a
// sync.Pool drop some of its values.
func TestSigner_allocations(t *testing.T) { // not parallel: it counts allocations
	var buffer [128]byte
	if n := testing.AllocsPerRun(100, func() { _, _ = signer.Verify("purpose", golden, buffer[:0]) }); n > 0 {
		t.Errorf("Verify allocates %v times", n)
	}
}
