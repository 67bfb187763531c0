package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/erasuretest"
	"github.com/clickid/clickid/internal/reference"
	"github.com/clickid/clickid/internal/testserver"
	redisstore "github.com/clickid/clickid/store_redis"
	"github.com/clickid/clickid/storetest"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestStore_singleServer(t *testing.T) {
	t.Parallel()
	client := newClient(t, testserver.Redis(t))
	prefix := sharedPrefix(t, client)
	stores := map[any]string{}
	storetest.Run(t, func(t *testing.T) clickid.Store {
		own := fmt.Sprintf("%s%d:", prefix, len(stores))
		store := newStore(t, client, own)
		stores[store] = own
		return store
	}, storetest.Options{Dump: func(t *testing.T, store any) []byte { return dump(t, client, stores[store]) }})
}

func TestStore_erasure(t *testing.T) {
	t.Parallel()
	client := newClient(t, testserver.Redis(t))
	erasuretest.RunStore(t, newStore(t, client, sharedPrefix(t, client)))
}

// TestStore_brokenServer breaks the client's connections, and pauses the server.
func TestStore_brokenServer(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	client := newClient(t, server.DSN())
	var broken breaker
	client.AddHook(&broken)
	stores := 0
	storetest.Run(t, func(t *testing.T) clickid.Store {
		stores++
		return newStore(t, client, fmt.Sprintf("outage%d:", stores))
	}, storetest.Options{
		Break: func(*testing.T, any) func() {
			broken.Store(true)
			return func() { broken.Store(false) }
		},
		Hang: func(*testing.T, any) func() {
			server.Pause()
			return server.Resume
		},
	})
}

// breaker fails all commands of a client while it is true.
type breaker struct{ atomic.Bool }

func (b *breaker) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if b.Load() {
			cmd.SetErr(errors.New("connection refused"))
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

func (b *breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if b.Load() {
			return errors.New("connection refused")
		}
		return next(ctx, cmds)
	}
}

func TestStore_cluster(t *testing.T) {
	t.Parallel()
	client, _ := newCluster(t)
	runOn(t, client)
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	rules := []any{"ACL", "SETUSER", "shop", "on", ">secret"}
	for _, rule := range strings.Fields(redisstore.Permissions) {
		rules = append(rules, rule)
	}
	require.NoError(t, newClient(t, server.DSN()).Do(ctx, rules...).Err())
	client := closed(t, redis.NewClient(&redis.Options{
		Addr: server.Addr(), Username: "shop", Password: "secret", ContextTimeoutEnabled: true,
	}))
	require.ErrorContains(t, client.FlushAll(ctx).Err(), "NOPERM")
	runOn(t, client)
}

func runOn(t *testing.T, client redis.UniversalClient) {
	stores := 0
	storetest.Run(t, func(t *testing.T) clickid.Store {
		stores++
		return newStore(t, client, fmt.Sprintf("%s%d:", redisstore.DefaultPrefix, stores))
	}, storetest.Options{})
}

func TestNew_problems(t *testing.T) {
	const deadlines, required, braces = "Client ignores the deadlines", "Client is required", "Prefix must not contain braces"
	for name, row := range map[string]struct {
		config redisstore.Config
		errors []string
	}{
		"no fields":                {redisstore.Config{}, []string{required}},
		"nil client":               {redisstore.Config{Client: (*redis.Client)(nil)}, []string{required}},
		"nil cluster client":       {redisstore.Config{Client: (*redis.ClusterClient)(nil)}, []string{required}},
		"nil ring":                 {redisstore.Config{Client: (*redis.Ring)(nil)}, []string{required}},
		"client without deadlines": {redisstore.Config{Client: closed(t, redis.NewClient(&redis.Options{}))}, []string{deadlines}},
		"cluster without deadlines": {redisstore.Config{
			Client: closed(t, redis.NewClusterClient(&redis.ClusterOptions{})),
		}, []string{deadlines}},
		"ring": {redisstore.Config{Client: closed(t, redis.NewRing(&redis.RingOptions{ContextTimeoutEnabled: true})), Prefix: "{shop}:"}, []string{"Client is a Ring", braces}},
		"cluster that reads from replicas": {redisstore.Config{
			Client: closed(t, redis.NewClusterClient(&redis.ClusterOptions{ContextTimeoutEnabled: true, ReadOnly: true})),
		}, []string{"Client reads from replicas"}},
		"cluster that reads from the nearest": {redisstore.Config{
			Client: closed(t, redis.NewClusterClient(&redis.ClusterOptions{ContextTimeoutEnabled: true, RouteByLatency: true})),
		}, []string{"Client reads from replicas"}},
		"cluster that reads from any": {redisstore.Config{
			Client: closed(t, redis.NewClusterClient(&redis.ClusterOptions{ContextTimeoutEnabled: true, RouteRandomly: true})),
		}, []string{"Client reads from replicas"}},
		"braces in the prefix": {redisstore.Config{Prefix: "shop}"}, []string{required, braces}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := redisstore.New(row.config)
			for _, want := range row.errors {
				require.ErrorContains(t, err, want)
			}
		})
	}

	wrapper := struct{ redis.UniversalClient }{closed(t, redis.NewClient(&redis.Options{}))}
	_, err := redisstore.New(redisstore.Config{Client: wrapper})
	require.NoError(t, err, "the options of a wrapper are not known")
}

// TestStore_unknownCommand uses a server without SET and GET. It repeats the
// arguments of an unknown command in its error.
func TestStore_unknownCommand(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t, "--rename-command", "SET", "", "--rename-command", "GET", "")
	store := newStore(t, newClient(t, server.DSN()), "")
	c := newClick(time.Hour)
	_, err := store.Save(ctx, c)
	require.ErrorContains(t, err, "unknown command")
	require.NotContains(t, err.Error(), c.ID)
	require.NotContains(t, err.Error(), "args")
	token, err := reference.New(time.Now())
	require.NoError(t, err)
	_, err = store.Load(ctx, token)
	require.ErrorContains(t, err, "unknown command")
	require.NotContains(t, err.Error(), "args")
}

func TestStore_commands(t *testing.T) {
	client := newClient(t, testserver.StartRedis(t).DSN())
	var counted commandCount
	client.AddHook(&counted)
	store := newStore(t, client, "")
	var token string
	k := clickid.OrderKey("42")
	expect := func(commands, trips int, action string, do func() error) {
		t.Helper()
		counted = commandCount{}
		require.NoError(t, do())
		require.Equal(t, commandCount{commands, trips}, counted, action)
	}
	expect(1, 1, "saving", func() (err error) { token, err = store.Save(ctx, newClick(time.Hour)); return err })
	expect(1, 1, "loading", func() error { _, err := store.Load(ctx, token); return err })
	expect(0, 0, "checking", func() error { return store.CheckToken(token) })
	expect(3, 3, "linking with a script that the server has not loaded", func() error { return store.Link(ctx, k, token, time.Now().Add(time.Hour)) })
	expect(2, 2, "linking", func() error { return store.Link(ctx, k, token, time.Now().Add(time.Hour)) })
	expect(2, 2, "finding a link", func() error { _, err := store.Linked(ctx, k); return err })
	for n := range 10 {
		require.NoError(t, store.Link(ctx, clickid.SessionKey(fmt.Sprint(n)), token, time.Now().Add(time.Hour)))
	}
	expect(13, 3, "deleting with a script that the server has not loaded", func() error { return store.Delete(ctx, token) })
	expect(1, 1, "deleting an unknown click", func() error { return store.Delete(ctx, token) })
	require.Empty(t, keysBelow(t, client, ""), "records of a deleted click remain")
}

func TestStore_expiry(t *testing.T) {
	client := newClient(t, testserver.StartRedis(t).DSN())
	store := newStore(t, client, "shop:")
	token, err := store.Save(ctx, newClick(time.Hour))
	require.NoError(t, err)
	now := time.Now()
	require.NoError(t, store.Link(ctx, clickid.OrderKey("long"), token, now.Add(3*time.Hour)))
	require.NoError(t, store.Link(ctx, clickid.OrderKey("short"), token, now.Add(2*time.Hour)))
	lifetimes := map[time.Duration]int{}
	for _, key := range keysBelow(t, client, "shop:") {
		left := client.PTTL(ctx, key).Val()
		require.Positive(t, left, "a record does not expire")
		lifetimes[left.Round(time.Minute)]++
	}
	// The click, the short link, and the long link with the set of both.
	require.Equal(t, map[time.Duration]int{time.Hour: 1, 2 * time.Hour: 1, 3 * time.Hour: 2}, lifetimes)
	require.Len(t, keysBelow(t, client, ""), 4, "a key does not have the prefix")

	// The set expires with its last link and drops expired links.
	require.NoError(t, store.Link(ctx, clickid.OrderKey("long"), token, time.Now().Add(time.Minute)))
	sets := keysBelow(t, client, "shop:links:")
	require.Len(t, sets, 1)
	require.Equal(t, 2*time.Hour, client.PTTL(ctx, sets[0]).Val().Round(time.Minute))
	require.NoError(t, client.ZAdd(ctx, sets[0], redis.Z{Score: 1, Member: "expired in 1970"}).Err())
	require.NoError(t, store.Link(ctx, clickid.OrderKey("long"), token, time.Now().Add(time.Minute)))
	require.EqualValues(t, 2, client.ZCard(ctx, sets[0]).Val())
}

func saveAndLink(t *testing.T, store *redisstore.Store) (token string, k clickid.Key) {
	t.Helper()
	token, err := store.Save(ctx, newClick(time.Hour))
	require.NoError(t, err)
	k = clickid.OrderKey("42")
	require.NoError(t, store.Link(ctx, k, token, time.Now().Add(time.Hour)))
	return token, k
}

func TestStore_foreignRecords(t *testing.T) {
	client := newClient(t, testserver.StartRedis(t).DSN())
	store := newStore(t, client, "")
	token, k := saveAndLink(t, store)
	for _, pattern := range []string{"*click:*", "*link:*"} {
		keys := client.Keys(ctx, pattern).Val()
		require.Len(t, keys, 1)
		require.NoError(t, client.Set(ctx, keys[0], "something else", 0).Err())
	}
	_, err := store.Load(ctx, token)
	require.ErrorContains(t, err, "is unknown")
	require.NotErrorIs(t, err, clickid.ErrNotFound)
	require.NotErrorIs(t, err, clickid.ErrInvalid)
	_, err = store.Linked(ctx, k)
	require.ErrorContains(t, err, "the record is not a link")
	require.NotErrorIs(t, err, clickid.ErrNotFound)
	require.NoError(t, store.Unlink(ctx, k))
	_, err = store.Linked(ctx, k)
	require.ErrorIs(t, err, clickid.ErrNotFound)
}

// TestStore_linksWithoutSet has the records of a server that failed after it had
// deleted a click and before it deleted its links.
func TestStore_linksWithoutSet(t *testing.T) {
	client := newClient(t, testserver.StartRedis(t).DSN())
	store := newStore(t, client, "")
	token, k := saveAndLink(t, store)
	require.NoError(t, client.Del(ctx, keysBelow(t, client, redisstore.DefaultPrefix+"links:")...).Err())
	_, err := store.Linked(ctx, k)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	require.NoError(t, store.Link(ctx, k, token, time.Now().Add(time.Hour)))
	linked, err := store.Linked(ctx, k)
	require.NoError(t, err)
	require.Equal(t, token, linked)
}
