package databases_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/outbox"
)

// TestTableOutbox_Drain_databaseUnavailable checks that the events of the queue
// are delivered when the table cannot be read.
func TestTableOutbox_Drain_databaseUnavailable(t *testing.T) {
	t.Parallel()
	s := newShop(t, outbox.DatabaseSQLite)
	_, err := s.queue.Send(s.ctx, Order{Number: "1001", Cents: 14999}.event())
	require.NoError(t, err)
	require.NoError(t, s.db.Close())
	drained, err := s.ob.Drain(s.ctx)
	require.ErrorContains(t, err, "outbox: relay: ")
	require.Equal(t, outbox.Drained{Settled: 1}, drained)
	require.Equal(t, 1, s.platform.Count())
}
