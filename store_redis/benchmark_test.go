package redisstore_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/reference"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// BenchmarkMemory adds a click or a link per iteration to a private server and
// reports its memory: server-B/op is the growth of the server, with its index of
// keys and expiries, and record-B/op the records without it (MEMORY USAGE). Run
// it with -benchtime 1000000x: the index doubles from time to time, and its share
// is realistic only in a full server.
func BenchmarkMemory(b *testing.B) {
	cookieToken, err := newCookieStore(b).Save(ctx, newClick(clickid.DefaultTTL))
	require.NoError(b, err)
	expires := time.Now().Add(clickid.DefaultTTL)

	for _, row := range []struct {
		name string
		fill func(b *testing.B, store clickid.Store, n int) error
	}{
		{"click", func(b *testing.B, store clickid.Store, _ int) error {
			_, err := store.Save(ctx, newClick(clickid.DefaultTTL))
			return err
		}},
		{"link to a click in Redis", func(b *testing.B, store clickid.Store, n int) error {
			token, err := reference.New(time.Now())
			require.NoError(b, err)
			return store.(clickid.Linker).Link(ctx, clickid.OrderKey(strconv.Itoa(n)), token, expires)
		}},
		{"link to a click in a cookie", func(b *testing.B, store clickid.Store, n int) error {
			token := fmt.Sprintf("%0*d", len(cookieToken), n) // different in each iteration
			return store.(clickid.Linker).Link(ctx, clickid.OrderKey(strconv.Itoa(n)), token, expires)
		}},
	} {
		b.Run(row.name, func(b *testing.B) {
			client := newClient(b, testserver.StartRedis(b, "--appendonly", "no").DSN())
			store := newStore(b, client, "")
			before := usedMemory(b, client)
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				if err := row.fill(b, store, n); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(usedMemory(b, client)-before)/float64(b.N), "server-B/op")
			keys, _, err := client.Scan(ctx, 0, "*", 1000).Result()
			require.NoError(b, err)
			sampled := 0.0
			for _, key := range keys {
				sampled += float64(client.MemoryUsage(ctx, key).Val())
			}
			records := float64(client.DBSize(ctx).Val()) / float64(b.N)
			b.ReportMetric(sampled/float64(len(keys))*records, "record-B/op")
		})
	}
}

// usedMemory returns the bytes that the server has allocated.
func usedMemory(b *testing.B, client *redis.Client) int64 {
	b.Helper()
	for _, line := range strings.Split(client.Info(ctx, "memory").Val(), "\r\n") {
		if value, ok := strings.CutPrefix(line, "used_memory:"); ok {
			used, err := strconv.ParseInt(value, 10, 64)
			require.NoError(b, err)
			return used
		}
	}
	b.Fatal("INFO memory does not contain used_memory")
	return 0
}

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
