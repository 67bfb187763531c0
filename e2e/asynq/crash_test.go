// Package asynq tests the outbox on asynq, fed by Send or by the outbox table,
// with Redis, PostgreSQL and MariaDB servers.
package asynq_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
)

func TestMain(m *testing.M) {
	crash.Main(m, setup(outbox.DatabasePostgreSQL), setup(outbox.DatabaseMySQL))
}

// setup feeds asynq from the outbox table.
func setup(kind outbox.Database) crash.Setup {
	return crash.TableSetup(kind, func(ctx context.Context, url string, cfg outbox.Config) (outbox.Queue, error) {
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

// ageLeases makes the leases of the last shop a minute old. asynq treats an
// event of a worker that does not respond as lost after that time, and a new
// server searches for such events at its start.
func ageLeases(ctx context.Context, connection *redis.Client) error {
	const leases = "asynq:{" + asynqoutbox.DefaultQueue + "}:lease"
	held, err := connection.ZRange(ctx, leases, 0, -1).Result()
	for _, identity := range held {
		err = connection.ZIncrBy(ctx, leases, -time.Minute.Seconds()-1, identity).Err()
	}
	return err
}

// database returns an empty database for the orders and a private Redis server.
func database(t *testing.T, kind outbox.Database) string {
	t.Helper()
	orders := testserver.Postgres
	if kind == outbox.DatabaseMySQL {
		orders = testserver.MySQL
	}
	return orders(t) + " " + testserver.StartRedis(t).DSN()
}

func TestKill_anyMoment(t *testing.T) {
	t.Parallel()
	for _, kind := range []outbox.Database{outbox.DatabasePostgreSQL, outbox.DatabaseMySQL} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			setup(kind).AnyMoment(t, database(t, kind), 20)
		})
	}
}

func TestKill_duringDelivery(t *testing.T) {
	t.Parallel()
	setup(outbox.DatabasePostgreSQL).DuringDelivery(t, database(t, outbox.DatabasePostgreSQL), 5000, 500, 2000, 4000)
}

func TestKill_everything(t *testing.T) {
	t.Parallel()
	orders, queue := testserver.StartPostgres(t), testserver.StartRedis(t)
	setup(outbox.DatabasePostgreSQL).PowerCut(t, orders.DSN()+" "+queue.DSN(), nil, orders, queue)
}
