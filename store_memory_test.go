package clickid_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestMemoryStore_capacity(t *testing.T) {
	const capacity = 100_000 // documented
	ctx, store, expires := context.Background(), clickid.NewMemoryStore(), time.Now().Add(time.Hour)
	c := clickid.Click{ID: documentedID, Param: "clkid", At: time.Now(), Expires: expires}
	var first, last string
	for n := range capacity + 1 {
		token, err := store.Save(ctx, c)
		require.NoError(t, err)
		require.NoError(t, store.Link(ctx, clickid.OrderKey(fmt.Sprint(n)), token, expires))
		if n == 0 {
			first = token
		}
		last = token
	}
	clicks, links, tokens := store.Sizes()
	require.Equal(t, capacity, clicks)
	require.Equal(t, capacity, links)
	require.Equal(t, capacity, tokens)

	_, err := store.Load(ctx, first)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	_, err = store.Linked(ctx, clickid.OrderKey("0"))
	require.ErrorIs(t, err, clickid.ErrNotFound)
	_, err = store.Load(ctx, last)
	require.NoError(t, err)
	linked, err := store.Linked(ctx, clickid.OrderKey(fmt.Sprint(capacity)))
	require.NoError(t, err)
	require.Equal(t, last, linked)
}

func TestMemoryStore_Delete(t *testing.T) {
	ctx, store, expires := context.Background(), clickid.NewMemoryStore(), time.Now().Add(time.Hour)
	c := clickid.Click{ID: documentedID, Param: "clkid", At: time.Now(), Expires: expires}
	save := func() string {
		token, err := store.Save(ctx, c)
		require.NoError(t, err)
		return token
	}
	empty := func(after string) {
		t.Helper()
		clicks, links, tokens := store.Sizes()
		require.Zero(t, clicks+links+tokens, "after %s", after)
	}
	session, order := clickid.SessionKey("42"), clickid.OrderKey("42")

	token := save()
	require.NoError(t, store.Link(ctx, session, token, expires))
	require.NoError(t, store.Link(ctx, session, token, expires))
	require.NoError(t, store.Link(ctx, order, token, expires))
	require.NoError(t, store.Delete(ctx, token))
	empty("Delete")

	token, later := save(), save()
	require.NoError(t, store.Link(ctx, session, token, expires))
	require.NoError(t, store.Link(ctx, session, later, expires))
	require.NoError(t, store.Unlink(ctx, session))
	require.NoError(t, store.Delete(ctx, token))
	require.NoError(t, store.Delete(ctx, later))
	empty("a link that moved")

	token = save()
	require.NoError(t, store.Link(ctx, session, token, expires))
	clickid.AdvanceClock(store, 2*time.Hour)
	_, err := store.Load(ctx, token)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	_, err = store.Linked(ctx, session)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	empty("expiry and a lookup")
}
