package clickid_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/storetest"
	"github.com/stretchr/testify/require"
)

func advanceClock(_ *testing.T, store any, d time.Duration) { clickid.AdvanceClock(store, d) }

func newCookieKey(t testing.TB) []byte {
	t.Helper()
	key := make([]byte, clickid.MinCookieKeyLength)
	_, err := rand.Read(key)
	require.NoError(t, err)
	return key
}

func TestCookieStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) clickid.Store { return newCookieStore(t, newCookieKey(t)) }, storetest.Options{Stateless: true, Advance: advanceClock})
}

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) clickid.Store { return clickid.NewMemoryStore() }, storetest.Options{
		Advance: advanceClock,
		Dump:    func(_ *testing.T, store any) []byte { return store.(*clickid.MemoryStore).Dump() },
	})
}
