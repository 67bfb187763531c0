package sqliteoutbox_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/clickid/clickid/internal/networktest"
	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// TestOutbox_reliability holds this queue to docs/reliability.md.
func TestOutbox_reliability(t *testing.T) {
	t.Parallel()
	reliabilitytest.Run(t, openFile)
}

// TestNetwork_faults delivers from this queue through a network with faults.
func TestNetwork_faults(t *testing.T) {
	t.Parallel()
	networktest.TestFaults(t, func(t *testing.T, cfg outbox.Config) outbox.Outbox { return openFile(t, cfg) })
}

func openFile(t testing.TB, cfg outbox.Config) outbox.Outbox {
	ob, err := openIdle(context.Background(), filepath.Join(t.TempDir(), "outbox.db"), sqliteoutbox.Config{Delivery: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ob.Close() })
	return ob
}
