// Package asynq tests the outbox on asynq, alone and fed by the outbox table,
// with real Redis, PostgreSQL and MariaDB servers.
package asynq_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox_asynq"
)

func TestMain(m *testing.M) { crash.Main(m, setup(outbox.PostgreSQL), setup(outbox.MySQL)) }

// setup feeds asynq from the outbox table.
func setup(dialect outbox.Dialect) crash.Setup {
	return crash.TableSetup(dialect, func(ctx context.Context, url string, cfg outbox.Config) (outbox.Engine, error) {
		connection, err := connect(url)
		if err != nil {
			return nil, err
		}
		if err := ageLeases(ctx, connection); err != nil {
			return nil, err
		}
		return asynqoutbox.New(asynqoutbox.Config{Delivery: cfg, Redis: connection, PollInterval: 50 * time.Millisecond})
	})
}

func connect(url string) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.ContextTimeoutEnabled = true
	return redis.NewClient(options), nil
}

// ageLeases lets a minute pass since the last shop was killed: asynq takes an
// event of a killed worker for lost after that time, and a new server looks
// for such events at once.
func ageLeases(ctx context.Context, connection *redis.Client) error {
	const leases = "asynq:{" + asynqoutbox.DefaultQueue + "}:lease"
	held, err := connection.ZRange(ctx, leases, 0, -1).Result()
	for _, identity := range held {
		err = connection.ZIncrBy(ctx, leases, -time.Minute.Seconds()-1, identity).Err()
	}
	return err
}

// database returns an empty database for the orders, and a Redis server of the
// test's own.
func database(t *testing.T, dialect outbox.Dialect) string {
	t.Helper()
	orders := testserver.Postgres
	if dialect == outbox.MySQL {
		orders = testserver.MySQL
	}
	return orders(t) + " " + testserver.StartRedis(t).DSN()
}

func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	for _, dialect := range []outbox.Dialect{outbox.PostgreSQL, outbox.MySQL} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			setup(dialect).AnyMoment(t, database(t, dialect), 20)
		})
	}
}

func TestKilledDuringDelivery(t *testing.T) {
	t.Parallel()
	setup(outbox.PostgreSQL).DuringDelivery(t, database(t, outbox.PostgreSQL), 5000, 500, 2000, 4000)
}
