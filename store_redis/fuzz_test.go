package redisstore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/reference"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// record is a client's hook that returns the same value for every key, without
// a server. Every link is confirmed.
type record struct{ value []byte }

func (*record) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *record) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		switch cmd := cmd.(type) {
		case *redis.StringCmd:
			cmd.SetVal(string(r.value))
		case *redis.FloatCmd:
			cmd.SetVal(1)
		default:
			cmd.SetErr(errors.New("the command is not that of a lookup"))
		}
		return cmd.Err()
	}
}

func (*record) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// FuzzRecord reads records that the store did not write. Only a valid click is
// loaded, and it is the same when it is saved and loaded again; an absence is
// only that of an expired click; a link leads to no token but the one that was
// sealed.
func FuzzRecord(f *testing.F) {
	var r record
	client := closed(f, redis.NewClient(&redis.Options{ContextTimeoutEnabled: true}))
	client.AddHook(&r)
	store := newStore(f, client, "")
	// A constant, since f.Add and f.Fuzz may run in two processes.
	const token = "MTgwMDAwMDAwMHyW2LJQbOqbqA1_Okb2wVK7"
	key := clickid.OrderKey("42")
	sealed, err := extension.Seal(key, token)
	require.NoError(f, err)
	hash := reference.Hash(token)
	link := append(hash[:], sealed...)

	at := time.Unix(1_800_000_000, 0).UTC()
	for _, c := range []clickid.Click{
		{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: at, Expires: at.AddDate(50, 0, 0)},
		{ID: "abc", Param: "x", At: at, Expires: at.Add(time.Second), LandingIP: "203.0.113.7", LandingUserAgent: "Mozilla/5.0"},
	} {
		value, err := c.MarshalBinary()
		require.NoError(f, err)
		f.Add(value)
		f.Add(value[:len(value)-1])
		f.Add(value[:3])
	}
	for _, value := range [][]byte{nil, {0}, link, link[:len(link)-1], link[:sha256.Size], link[:sha256.Size+1]} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r.value = value
		c, err := store.Load(ctx, token)
		var stored clickid.Click
		damaged := stored.UnmarshalBinary(value) != nil
		switch {
		case errors.Is(err, clickid.ErrInvalid), damaged && (err == nil || errors.Is(err, clickid.ErrNotFound)):
			t.Fatalf("%q, damaged %v: %v", value, damaged, err)
		case err != nil && !c.IsZero(), !damaged && (err == nil) == errors.Is(err, clickid.ErrNotFound):
			t.Fatalf("%q was loaded as %v: %v", value, c, err)
		case err == nil:
			again, err := c.MarshalBinary()
			if err != nil || c.Validate() != nil {
				t.Fatalf("%q was loaded as %v, which cannot be saved: %v", value, c, err)
			}
			r.value = again
			if same, err := store.Load(ctx, token); err != nil || same != c {
				t.Fatalf("%q was loaded as %v and then %v: %v", value, c, same, err)
			}
			r.value = value
		}

		linked, err := store.Linked(ctx, key)
		opened, _ := extension.Open(key, value[min(len(value), sha256.Size):])
		switch {
		case err == nil && linked != token, (err == nil) != (opened == token):
			t.Fatalf("the link of %q leads to %q: %v", opened, linked, err)
		case len(value) > 0 && errors.Is(err, clickid.ErrNotFound):
			t.Fatalf("%q is read as an absence", value)
		}
	})
}
