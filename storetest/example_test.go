package storetest_test

import (
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/storetest"
)

// The test of a store is one call. Here it tests the store in memory; newStore
// returns your own.
func ExampleRun() {
	var t *testing.T // of func TestStore(t *testing.T)

	newStore := func(t *testing.T) clickid.Store { return clickid.NewMemoryStore() }
	storetest.Run(t, newStore, storetest.Options{})
}
