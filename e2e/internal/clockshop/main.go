// Command clockshop is a shop of the tests with wrong clocks. It is built with
// another time.Now, which adds the seconds in CLICKID_TEST_CLOCK.
//
// It prints its time when it is open, and "taken" when it has taken its orders,
// and delivers until its standard input is closed.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	riveroutbox "github.com/clickid/clickid/outbox_river"
)

var (
	kind     = flag.String("outbox", "", "river, asynq, postgresql or mysql")
	database = flag.String("database", "", "the DSN of PostgreSQL or MariaDB")
	address  = flag.String("redis", "", "the URL of Redis")
	platform = flag.String("platform", "", "the URL of the receiver")
	prefix   = flag.String("prefix", "", "of the orders' IDs")
	orders   = flag.Int("orders", 0, "the number of orders")
)

func main() {
	flag.Parse()
	if err := serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	client, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: *platform, RateLimit: capi.RateLimit{Requests: -1},
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	})
	if err != nil {
		return err
	}
	ob, err := open(ctx, outbox.Config{Destination: client, MinSnooze: 50 * time.Millisecond, MaxSnooze: 20 * time.Second})
	if err != nil {
		return err
	}
	if err := ob.Start(ctx); err != nil {
		return err
	}
	fmt.Println(time.Now().Unix())
	for n := range *orders {
		if err := order(ctx, ob, fmt.Sprintf("%s-%d", *prefix, n)); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond) // the pace of the customers
	}
	fmt.Println("taken")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	stopping, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = ob.Stop(stopping)
	return err
}

// order sends the event of an order that was paid two hours ago. An event whose
// time lies ahead of the clock of the machine that takes it would wait for it.
func order(ctx context.Context, ob clickid.Sender, id string) error {
	result, err := clickid.Convert(ctx, ob, clickid.Event{
		Type: clickid.Purchase, ID: id, Time: time.Now().Add(-2 * time.Hour), Value: clickid.Minor(14999, "USD"),
		Source: clickid.SourceApp, Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	})
	if err == nil && result.Verdict != clickid.VerdictQueued {
		err = fmt.Errorf("the order is %v: %s", result.Verdict, result.Reason)
	}
	return err
}

func open(ctx context.Context, cfg outbox.Config) (outbox.Outbox, error) {
	switch *kind {
	case "river":
		pool, err := pgxpool.New(ctx, *database)
		if err != nil {
			return nil, err
		}
		var ob *riveroutbox.Outbox[pgx.Tx]
		ob, err = riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{
			Delivery: cfg, JobTimeout: 5 * time.Second, RescueAfter: 10 * time.Second,
		})
		if err != nil {
			return nil, err
		}
		return ob, ob.Migrate(ctx)
	case "asynq":
		return openQueue(cfg)
	case string(outbox.DatabasePostgreSQL), string(outbox.DatabaseMySQL): // a table
		queue, err := openQueue(cfg)
		if err != nil {
			return nil, err
		}
		driver := "pgx"
		if *kind == string(outbox.DatabaseMySQL) {
			driver = "mysql"
		}
		db, err := sql.Open(driver, *database)
		if err != nil {
			return nil, err
		}
		table, err := outbox.NewTable(outbox.TableConfig{Database: outbox.Database(*kind), Destination: cfg.Destination})
		if err != nil {
			return nil, err
		}
		ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table, Interval: 50 * time.Millisecond})
		if err != nil {
			return nil, err
		}
		return ob, ob.Migrate(ctx)
	}
	return nil, errors.New("-outbox must be river, asynq, postgresql or mysql")
}

func openQueue(cfg outbox.Config) (*asynqoutbox.Outbox, error) {
	options, err := redis.ParseURL(*address)
	if err != nil {
		return nil, err
	}
	options.ContextTimeoutEnabled = true
	return asynqoutbox.New(asynqoutbox.Config{Delivery: cfg, Redis: redis.NewClient(options), PollInterval: 50 * time.Millisecond, EnqueueTimeout: time.Minute})
}
