package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/outagetest"
	"github.com/clickid/clickid/internal/testserver"
	redisstore "github.com/clickid/clickid/store_redis"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

type servers []*testserver.Server

func (s servers) each(do func(*testserver.Server)) {
	for _, server := range s {
		do(server)
	}
}

// onPrivateServers runs a test on a single server and on a cluster.
func onPrivateServers(t *testing.T, test func(t *testing.T, client redis.UniversalClient, servers servers)) {
	t.Run("single server", func(t *testing.T) {
		t.Parallel()
		server := testserver.StartRedis(t)
		test(t, newClient(t, server.DSN()), servers{server})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		client, nodes := newCluster(t)
		test(t, client, nodes)
	})
}

func TestStore_outage(t *testing.T) {
	onPrivateServers(t, func(t *testing.T, client redis.UniversalClient, servers servers) {
		shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, "")})
		landed, forgotten := shop.Lands(t, "before-the-outage"), shop.Lands(t, "forgotten")
		restart := func(s *testserver.Server) { s.Restart() }
		for _, outage := range []struct{ begin, end func(*testserver.Server) }{
			{(*testserver.Server).Pause, (*testserver.Server).Resume},
			{(*testserver.Server).Stop, restart},
			{(*testserver.Server).Kill, restart},
		} {
			servers.each(outage.begin)
			shop.ServesWithoutStore(t, landed)
			pending := shop.FailsToForget(t, forgotten)
			servers.each(outage.end)
			shop.Recovers(t, landed, "before-the-outage")
			shop.Forgets(t, forgotten, pending)
			forgotten = shop.Lands(t, "forgotten")
		}
	})
}

// TestStore_slow has a server that does not respond for a second, less than the
// timeout: the page waits, and its click is stored.
func TestStore_slow(t *testing.T) {
	onPrivateServers(t, func(t *testing.T, client redis.UniversalClient, servers servers) {
		shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, ""), StoreTimeout: time.Minute})
		shop.Lands(t, "before")
		servers.each((*testserver.Server).Pause)
		landed := make(chan []*http.Cookie, 1)
		go func() { landed <- shop.Get(t, "/?clkid=slow").Cookies() }()
		time.Sleep(time.Second) // the length of the fault
		require.Empty(t, landed, "the page did not wait for the store")
		servers.each((*testserver.Server).Resume)
		require.Equal(t, "slow", outagetest.ClickOf(shop.Get(t, "/cart", <-landed...)))
		require.Empty(t, shop.Failures())
	})
}

// TestStore_fullServer has a server that refuses new clicks and still returns the
// earlier ones.
func TestStore_fullServer(t *testing.T) {
	client := newClient(t, testserver.StartRedis(t).DSN())
	shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, ""), StoreTimeout: time.Minute})
	landed := shop.Lands(t, "before-it-was-full")
	require.NoError(t, client.ConfigSet(ctx, "maxmemory", "1").Err())

	landing := shop.Get(t, "/?clkid=when-it-was-full")
	require.Empty(t, landing.Cookies())
	failures := shop.Failures()
	require.Len(t, failures, 1)
	require.ErrorContains(t, failures[0], "OOM")
	require.Equal(t, "before-it-was-full", outagetest.ClickOf(shop.Get(t, "/cart", landed...)))
	require.Empty(t, shop.Failures())

	require.NoError(t, client.ConfigSet(ctx, "maxmemory", "0").Err())
	shop.Recovers(t, landed, "before-it-was-full")
}

// TestStore_fallbackFullServer has a server that refuses new clicks: the page is
// served, the fallback takes the click, and the refusal is reported.
func TestStore_fallbackFullServer(t *testing.T) {
	client := newClient(t, testserver.StartRedis(t).DSN())
	require.NoError(t, client.ConfigSet(ctx, "maxmemory", "1").Err())
	primary := newStore(t, client, "")
	store, err := clickid.NewFallbackStore(primary, newCookieStore(t))
	require.NoError(t, err)
	var seen []clickid.Observation
	tracker, err := clickid.New(clickid.Config{
		Store: store, StoreTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
		Hook: func(_ context.Context, o clickid.Observation) { seen = append(seen, o) },
	})
	require.NoError(t, err)
	served := 0
	shop := tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		c, err := clickid.Lookup(r.Context())
		require.NoError(t, err)
		require.Equal(t, "when-it-was-full", c.ID)
	}))

	landing := httptest.NewRecorder()
	shop.ServeHTTP(landing, httptest.NewRequest(http.MethodGet, "https://shop.test/?clkid=when-it-was-full", nil))
	cookies := landing.Result().Cookies()
	require.Len(t, cookies, 1)
	require.ErrorIs(t, primary.CheckToken(cookies[0].Value), clickid.ErrInvalid, "the cookie has the click")
	require.Len(t, seen, 2)
	require.Equal(t, []clickid.Kind{clickid.KindFellBack, clickid.KindCaptured}, []clickid.Kind{seen[0].Kind, seen[1].Kind})
	require.ErrorContains(t, seen[0].Err, "OOM")

	cart := httptest.NewRequest(http.MethodGet, "https://shop.test/cart", nil)
	cart.AddCookie(cookies[0])
	shop.ServeHTTP(httptest.NewRecorder(), cart)
	require.Equal(t, 2, served)
	require.Len(t, seen, 2)
}

// TestStore_fullDisk fills the disk of a server with an append-only file. With fsync
// every second it refuses new clicks and still returns the earlier ones; with fsync
// always it ends itself.
func TestStore_fullDisk(t *testing.T) {
	for fsync, timeout := range map[string]time.Duration{"everysec": time.Minute, "always": outagetest.Timeout} {
		t.Run(fsync, func(t *testing.T) {
			t.Parallel()
			server := testserver.StartRedisOnDisk(t, "--appendfsync", fsync)
			shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, newClient(t, server.DSN()), ""), StoreTimeout: timeout})
			landed := shop.Lands(t, "before-it-was-full")
			server.FillDisk()
			failure := shop.FailsToLand(t, "when-it-was-full")
			if fsync == "always" {
				outagetest.Eventually(t, func() error {
					if server.Running() {
						return errors.New("the server has not ended itself")
					}
					return nil
				})
				shop.ServesWithoutStore(t, landed)
				server.FreeDisk()
				server.Restart()
			} else {
				require.ErrorContains(t, failure, "MISCONF")
				require.Equal(t, "before-it-was-full", outagetest.ClickOf(shop.Get(t, "/cart", landed...)))
				require.Empty(t, shop.Failures())
				server.FreeDisk()
			}
			shop.Recovers(t, landed, "before-it-was-full")
		})
	}
}

// TestStore_failover kills the primary server, whose clicks and links the replica
// has.
func TestStore_failover(t *testing.T) {
	t.Parallel()
	client, primary, replica, _ := newFailover(t)
	shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, "")})
	landed := shop.Lands(t, "before-the-crash")
	order := clickid.OrderKey("4711")
	require.NoError(t, shop.Tracker.Link(shop.Visit(landed), order))
	require.NoError(t, client.Wait(ctx, 1, time.Minute).Err())
	primary.Kill()
	shop.Recovers(t, landed, "before-the-crash")
	found, err := shop.Tracker.Linked(ctx, order)
	require.NoError(t, err)
	require.Equal(t, "before-the-crash", found.ID)
	require.NotZero(t, newClient(t, replica.DSN()).DBSize(ctx).Val())
}

// sentinelName is the name of the servers in Sentinel.
const sentinelName = "clicks"

// newFailover starts a primary and a replica with Sentinel and connects to them.
func newFailover(t *testing.T) (client *redis.Client, primary, replica *testserver.Server, watcher *redis.SentinelClient) {
	t.Helper()
	primary = testserver.StartRedis(t)
	host, port, err := net.SplitHostPort(primary.Addr())
	require.NoError(t, err)
	replica = testserver.StartRedis(t, "--replicaof", host, port)
	sentinel := testserver.StartSentinel(t, sentinelName, primary)
	client = closed(t, redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: sentinelName, SentinelAddrs: []string{sentinel.Addr()}, ContextTimeoutEnabled: true,
	}))
	watcher = redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr()})
	t.Cleanup(func() { _ = watcher.Close() })
	outagetest.Eventually(t, func() error { // Sentinel looks for replicas at intervals
		replicas, err := watcher.Replicas(ctx, sentinelName).Result()
		if err == nil && (len(replicas) == 0 || replicas[0]["master-link-status"] != "ok") {
			err = errors.New("Sentinel does not report a replica that follows")
		}
		return err
	})
	return client, primary, replica, watcher
}

// TestStore_fallbackFailover kills the primary server. The cookie has the clicks
// until the replica takes over.
func TestStore_fallbackFailover(t *testing.T) {
	t.Parallel()
	client, primary, replica, sentinel := newFailover(t)
	detectAfter := func(d time.Duration) {
		require.NoError(t, sentinel.Set(ctx, sentinelName, "down-after-milliseconds", fmt.Sprint(d.Milliseconds())).Err())
	}
	kept := newClient(t, replica.DSN())
	outagetest.RunFallback(t, outagetest.Primary{
		Store: newStore(t, client, ""),
		Begin: func() {
			require.NoError(t, client.Wait(ctx, 1, time.Minute).Err())
			detectAfter(time.Hour)
			primary.Kill()
		},
		End:   func() { detectAfter(time.Second) },
		Count: func() int { return len(keysBelow(t, kept, redisstore.DefaultPrefix+"click:")) },
	})
}

// TestStore_brokenConnections restarts the server, or has it end its connections,
// while the pool has connections that were just used. The next pages open others and
// find their clicks.
func TestStore_brokenConnections(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	admin := newClient(t, server.DSN())
	const connections = 16
	for options, client := range map[string]*redis.Client{
		"default":    redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, PoolSize: connections}),
		"no retries": redis.NewClient(failingFast(server, connections)),
	} {
		closed(t, client)
		shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, ""), StoreTimeout: time.Minute})
		landed := shop.Lands(t, "before")
		for fault, begin := range map[string]func(){
			"restart":  func() { server.Restart() },
			"sessions": func() { require.NoError(t, admin.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err()) },
		} {
			var held []*redis.Conn
			for range connections {
				held = append(held, client.Conn())
				require.NoError(t, held[len(held)-1].Ping(ctx).Err())
			}
			for _, conn := range held {
				require.NoError(t, conn.Close())
			}
			require.EqualValues(t, connections, client.PoolStats().IdleConns)
			begin()
			var group sync.WaitGroup
			for range connections {
				group.Go(func() {
					if landing := shop.Get(t, "/?clkid=after"); outagetest.ClickOf(shop.Get(t, "/cart", landing.Cookies()...)) != "after" {
						t.Error(options, fault, "a landing was not stored")
					}
				})
				group.Go(func() {
					if outagetest.ClickOf(shop.Get(t, "/cart", landed...)) != "before" {
						t.Error(options, fault, "a page did not find its click")
					}
				})
			}
			group.Wait()
			require.Empty(t, shop.Failures(), "%s, %s", options, fault)
		}
	}
}

// failingFast returns the options that the package comment names.
func failingFast(server *testserver.Server, connections int) *redis.Options {
	return &redis.Options{
		Addr: server.Addr(), ContextTimeoutEnabled: true, PoolSize: connections,
		MaxRetries: -1, DialerRetries: 1, DialerRetryTimeout: time.Millisecond,
	}
}

// TestStore_failoverWithoutErasure promotes a replica that did not get an erasure: the
// click is there again, and is erased by its token.
func TestStore_failoverWithoutErasure(t *testing.T) {
	t.Parallel()
	primary := testserver.StartRedis(t)
	host, port, err := net.SplitHostPort(primary.Addr())
	require.NoError(t, err)
	server := testserver.StartRedis(t, "--replicaof", host, port)
	replica, address := newClient(t, server.DSN()), testserver.NewSwitch(primary)
	client := closed(t, redis.NewClient(&redis.Options{Dialer: address.Dial, ContextTimeoutEnabled: true}))
	shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, ""), StoreTimeout: time.Minute})
	landed := shop.Lands(t, "landed")
	require.NoError(t, client.Wait(ctx, 1, time.Minute).Err())

	require.NoError(t, replica.SlaveOf(ctx, "NO", "ONE").Err()) // the network is partitioned
	require.NoError(t, shop.Tracker.ForgetToken(ctx, landed[0].Value))
	require.True(t, outagetest.IsAbsent(shop.Get(t, "/cart", landed...)))
	primary.Kill()
	address.To(server)
	require.Equal(t, "landed", outagetest.ClickOf(shop.Get(t, "/cart", landed...)))
	require.NoError(t, shop.Tracker.ForgetToken(ctx, landed[0].Value))
	require.True(t, outagetest.IsAbsent(shop.Get(t, "/cart", landed...)))
}

// TestStore_outageAtStart starts a shop whose client has no connection yet.
func TestStore_outageAtStart(t *testing.T) {
	onPrivateServers(t, func(t *testing.T, client redis.UniversalClient, servers servers) {
		servers.each((*testserver.Server).Pause)
		shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, "")})
		landing := shop.Get(t, "/?clkid=during-the-outage")
		require.Empty(t, landing.Cookies())
		require.Equal(t, "during-the-outage", outagetest.ClickOf(landing))
		require.Len(t, shop.Failures(), 1)
		servers.each((*testserver.Server).Resume)
		shop.Recovers(t, shop.Lands(t, "first"), "first")
	})
}

// TestStore_refusedConnections has a client that fails at once.
func TestStore_refusedConnections(t *testing.T) {
	server := testserver.StartRedis(t)
	client := closed(t, redis.NewClient(failingFast(server, 0)))
	shop := outagetest.NewShop(t, clickid.Config{Store: newStore(t, client, "")})
	landed := shop.Lands(t, "before-the-outage")
	server.Stop()
	const landings = 20
	start := time.Now()
	for range landings {
		shop.Get(t, "/?clkid=during-the-outage")
		failures := shop.Failures()
		require.Len(t, failures, 1)
		require.ErrorIs(t, failures[0], syscall.ECONNREFUSED)
	}
	// In total, since a busy machine can delay one of them.
	require.Less(t, time.Since(start), landings*outagetest.Timeout/2, "the client waited or retried")
	server.Restart()
	shop.Recovers(t, landed, "before-the-outage")
}

func TestStore_fallback(t *testing.T) {
	server := testserver.StartRedis(t)
	store := newStore(t, newClient(t, server.DSN()), "")
	withFallback, err := clickid.NewFallbackStore(store, newCookieStore(t))
	require.NoError(t, err)
	shop := outagetest.NewShop(t, clickid.Config{Store: withFallback})
	landed := shop.Lands(t, "before-the-outage")
	require.NoError(t, store.CheckToken(landed[0].Value), "Redis has the click")

	server.Pause()
	kept := shop.Lands(t, "during-the-outage")
	require.ErrorIs(t, store.CheckToken(kept[0].Value), clickid.ErrInvalid, "the cookie has the click")
	require.Equal(t, "during-the-outage", outagetest.ClickOf(shop.Get(t, "/cart", kept...)))
	require.Empty(t, shop.Failures())

	server.Resume()
	shop.Recovers(t, landed, "before-the-outage")
	shop.Recovers(t, kept, "during-the-outage")
	require.NoError(t, withFallback.Delete(ctx, kept[0].Value))
	_, err = shop.Tracker.Linked(ctx, clickid.OrderKey("42"))
	require.ErrorIs(t, err, clickid.ErrNotFound)
}

// TestStore_linksOnly keeps clicks in the visitor's cookie, so that only landings
// that replace a click write to Redis.
func TestStore_linksOnly(t *testing.T) {
	client := newClient(t, testserver.Redis(t))
	prefix := sharedPrefix(t, client)
	var counted commandCount
	client.AddHook(&counted)
	shop := outagetest.NewShop(t, clickid.Config{Store: newCookieStore(t), Linker: newStore(t, client, prefix), StoreTimeout: time.Minute})

	landed := shop.Lands(t, "landed")
	require.Equal(t, "landed", outagetest.ClickOf(shop.Get(t, "/cart", landed...)))
	shop.Get(t, "/?clkid=landed", landed...)
	shop.Lands(t, "landed-later")
	shop.Get(t, "/page")
	require.Zero(t, counted, "pages and landings sent commands")
	shop.Get(t, "/?clkid=replaces", landed...)
	require.NotZero(t, counted, "an erasure finds the replaced click")

	order := clickid.OrderKey("42")
	require.NoError(t, shop.Tracker.Link(shop.Visit(landed), order))
	require.NotZero(t, counted)
	found, err := shop.Tracker.Linked(ctx, order)
	require.NoError(t, err)
	require.Equal(t, "landed", found.ID)
	require.NoError(t, shop.Tracker.ForgetKey(ctx, order))
	_, err = shop.Tracker.Linked(ctx, order)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	require.Len(t, keysBelow(t, client, prefix), 2, "the token is denied until it expires")
	require.Empty(t, shop.Failures())
}
