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

// TestVisibleID hides every form of an e-mail address for which an ID is refused.
func TestVisibleID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"jane@example.com", "jane%40example.com", "jane%2540example.com", "jane&#64;example.com", "jane\ufe6bexample.com", "jane\uff20example.com", "17@store.local"} {
		require.Regexp(t, "^sha256:[0-9a-f]{12}$", outbox.VisibleID(id), id)
	}
	for _, id := range []string{"", "order-1", "order%2F1", "R&D-17", "+49 30 901820"} {
		require.Equal(t, id, outbox.VisibleID(id))
	}
}
