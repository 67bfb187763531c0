package redisstore_test

import (
	"strconv"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// BenchmarkSave and BenchmarkLoad compare the store with the Redis command that it
// needs at least.
func BenchmarkSave(b *testing.B) {
	client := newClient(b, testserver.StartRedis(b, "--appendonly", "no").DSN())
	store := newStore(b, client, "")
	c := newClick(clickid.DefaultTTL)
	value, err := c.MarshalBinary()
	require.NoError(b, err)
	b.Run("bare SET", func(b *testing.B) {
		b.ReportAllocs()
		for n := range b.N {
			if err := client.Set(ctx, "bare:"+strconv.Itoa(n), value, clickid.DefaultTTL).Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := store.Save(ctx, c); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	client := newClient(b, testserver.StartRedis(b, "--appendonly", "no").DSN())
	store := newStore(b, client, "")
	token, err := store.Save(ctx, newClick(clickid.DefaultTTL))
	require.NoError(b, err)
	key := keysBelow(b, client, "")[0]
	b.Run("bare GET", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if err := client.Get(ctx, key).Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := store.Load(ctx, token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
