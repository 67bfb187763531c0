package sqlstore_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	redisstore "github.com/clickid/clickid/store_redis"
)

// BenchmarkPeerRedis compares the Redis store with that of scs. The server flushes
// its append-only file every second.
func BenchmarkPeerRedis(b *testing.B) {
	ctx, now := context.Background(), time.Now()
	server := testserver.StartRedis(b, "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
	options, err := redis.ParseURL(server.DSN())
	failOn(b, err)
	options.ContextTimeoutEnabled = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // it logs on servers without them
	connect := func() *redis.Client {
		client := redis.NewClient(options)
		b.Cleanup(func() { _ = client.Close() })
		return client
	}
	client, loading := connect(), connect()
	pipe := &pipeline{Pipeliner: client.Pipeline()}
	loading.AddHook(pipe)
	open := func(client *redis.Client) (*redisstore.Store, *goredisstore.RedisStore) {
		store, err := redisstore.New(redisstore.Config{Client: client})
		failOn(b, err)
		return store, goredisstore.New(client)
	}

	began := time.Now()
	store, theirs := open(loading)
	known := make([]string, 0, 200_000) // tokens of clicks of any age
	for i := range *clicks {
		expires := expiryOf(i, *clicks, now)
		if expires.Before(now.Add(time.Hour)) {
			expires = now.Add(clickid.DefaultTTL) // Redis would delete it
		}
		token, err := store.Save(ctx, clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now, Expires: expires})
		failOn(b, err)
		if i%(1+*clicks/cap(known)) == 0 {
			known = append(known, token)
		}
		failOn(b, theirs.CommitCtx(ctx, sessionToken(i), session, now.Add(clickid.DefaultTTL)))
	}
	failOn(b, pipe.flush(ctx))
	b.Logf("loaded %d clicks and sessions in %v", *clicks, time.Since(began).Round(time.Second))

	store, theirs = open(client)
	comparePeer(b, "Redis", store, func() string { return known[rand.IntN(len(known))] }, theirs)
}

// pipeline is a hook that collects commands and sends a thousand at a time. Until
// then they have no result.
type pipeline struct{ redis.Pipeliner }

func (p *pipeline) DialHook(next redis.DialHook) redis.DialHook { return next }

func (p *pipeline) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (p *pipeline) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := p.Process(ctx, cmd); err != nil || p.Len() < 1000 {
			return err
		}
		return p.flush(ctx)
	}
}

func (p *pipeline) flush(ctx context.Context) error {
	_, err := p.Exec(ctx)
	return err
}
