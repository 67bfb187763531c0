package outbox_test

import (
	"testing"
	"time"

	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// TestSearch_types finds delivered events, of which only the identity is kept.
func TestSearch_types(t *testing.T) {
	t.Parallel()
	d := newDelivery(t, outbox.Config{Destination: newClient(t, always(refuseConnection), logEvent)})
	e := purchase("order")
	e.Type = "own_type"
	record := admit(t, d, e)
	_, ok := d.Search("order").Delivered(record.Identity, time.Now(), nil)
	require.False(t, ok)
	entry, ok := d.Search("order", "own_type").Delivered(record.Identity, time.Now(), nil)
	require.True(t, ok)
	require.Equal(t, e.Type, entry.Type)
	require.Equal(t, "order", entry.EventID)
}
