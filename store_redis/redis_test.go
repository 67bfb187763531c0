package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	redisstore "github.com/clickid/clickid/store_redis"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

var ctx = context.Background()

// newClient connects to a single server.
func newClient(t testing.TB, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	options.ContextTimeoutEnabled = true
	return closed(t, redis.NewClient(options))
}

// closed closes a client when the test ends.
func closed[C redis.UniversalClient](t testing.TB, client C) C {
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// newCluster starts a cluster of three servers and connects to it.
func newCluster(t testing.TB) (*redis.ClusterClient, []*testserver.Server) {
	t.Helper()
	const nodes, slots = 3, 16384
	var servers []*testserver.Server
	var clients []*redis.Client
	var addrs []string
	for n := range nodes {
		server := testserver.StartRedisNode(t)
		client := newClient(t, server.DSN())
		require.NoError(t, client.ClusterAddSlotsRange(ctx, n*slots/nodes, (n+1)*slots/nodes-1).Err())
		for _, earlier := range clients {
			meet(t, earlier, server)
		}
		servers, clients, addrs = append(servers, server), append(clients, client), append(addrs, server.Addr())
	}
	for _, client := range clients {
		require.Eventually(t, func() bool {
			info := client.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_slots_ok:", slots)) &&
				strings.Contains(info, fmt.Sprint("cluster_known_nodes:", nodes))
		}, time.Minute, 50*time.Millisecond)
	}
	return closed(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})), servers
}

// meet makes a node of a cluster and a server know each other.
func meet(t testing.TB, node *redis.Client, server *testserver.Server) {
	t.Helper()
	host, port, err := net.SplitHostPort(server.Addr())
	require.NoError(t, err)
	require.NoError(t, node.ClusterMeet(ctx, host, port).Err())
}

func newStore(t testing.TB, client redis.UniversalClient, prefix string) *redisstore.Store {
	t.Helper()
	store, err := redisstore.New(redisstore.Config{Client: client, Prefix: prefix})
	require.NoError(t, err)
	return store
}

// sharedPrefix returns a prefix on a server that other tests use as well. It
// deletes the keys with the prefix when the test ends.
func sharedPrefix(t testing.TB, client *redis.Client) string {
	t.Helper()
	prefix := testserver.Name() + ":"
	t.Cleanup(func() {
		for _, key := range keysBelow(t, client, prefix) {
			require.NoError(t, client.Del(ctx, key).Err())
		}
	})
	return prefix
}

// keysBelow returns the keys that begin with prefix.
func keysBelow(t testing.TB, client redis.UniversalClient, prefix string) (keys []string) {
	t.Helper()
	for i := client.Scan(ctx, 0, prefix+"*", 1000).Iterator(); i.Next(ctx); {
		keys = append(keys, i.Val())
		require.NoError(t, i.Err())
	}
	return keys
}

// dump returns the keys that begin with prefix, and their values.
func dump(t testing.TB, client redis.UniversalClient, prefix string) []byte {
	t.Helper()
	var b []byte
	for _, key := range keysBelow(t, client, prefix) {
		b = append(b, key...)
		if strings.HasPrefix(key, prefix+"links:") {
			b = fmt.Append(b, client.ZRangeWithScores(ctx, key, 0, -1).Val())
		} else {
			b = append(b, client.Get(ctx, key).Val()...)
		}
		b = append(b, '\n')
	}
	return b
}

func newCookieStore(t testing.TB) clickid.Store {
	t.Helper()
	store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	return store
}

func newClick(lifetime time.Duration) clickid.Click {
	at := time.Now().UTC().Truncate(time.Second)
	return clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: at, Expires: at.Add(lifetime)}
}

// commandCount counts the commands and round trips of a client without those that
// open connections.
type commandCount struct{ commands, trips int }

func (c *commandCount) add(cmds ...redis.Cmder) {
	cmds = slices.DeleteFunc(slices.Clone(cmds), func(cmd redis.Cmder) bool { return cmd.Name() == "hello" || cmd.Name() == "client" })
	if len(cmds) > 0 {
		c.commands, c.trips = c.commands+len(cmds), c.trips+1
	}
}

func (c *commandCount) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commandCount) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.add(cmd)
		return next(ctx, cmd)
	}
}

func (c *commandCount) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.add(cmds...)
		return next(ctx, cmds)
	}
}
