package sending_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // for testserver
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	_ "modernc.org/sqlite"
)

var outages = flag.Bool("outage", false, "measure the deliveries in an outage, for some minutes")

// patience is the time that a client has to deliver.
const patience = 30 * time.Second

// TestOutage hands 500 orders to each client at the beginning of an outage,
// closes it at once, and prints how many orders arrive.
func TestOutage(t *testing.T) {
	if !*outages {
		return // it is a measurement, and takes minutes
	}
	const orders = 500
	faults := []fault{unavailable, refused, throttled, poisoned, maintenance}
	clients := append([]sender{
		direct("clickid, LogEvent", logEvent), direct("clickid, ECAPI", ecapi), batched(), memoryOutbox(), sqliteOutbox(), riverOutbox(),
		asynqOutbox(), tableOutbox(),
	}, append(peers(), durable...)...)
	columns := []string{fmt.Sprintf("delivered of %d", orders)}
	for _, f := range faults {
		columns = append(columns, string(f))
	}
	table := ratio.NewTable("Outage", 1, columns...)
	for _, s := range clients {
		t.Run(s.name, func(t *testing.T) {
			cells := []any{s.name}
			for _, f := range faults {
				cells = append(cells, deliver(t, s, f, orders))
			}
			table.Row(cells...)
		})
	}
}

// deliver returns a cell of the table.
func deliver(t *testing.T, s sender, f fault, orders int) string {
	p := newPlatform(t, orders, f)
	send := s.prepare(t, p.url, orders)
	p.begin()
	began, ended := time.Now(), make(chan struct{})
	go func() {
		defer close(ended)
		send()
	}()
	note := ""
	select {
	case <-ended:
	case <-time.After(patience):
		note = ", has not returned"
	}
	delivered, requests := p.result()
	t.Logf("%s, %s: %d of %d delivered in %d requests and %v%s", s.name, f, delivered, orders, requests, time.Since(began).Round(time.Millisecond), note)
	if requests > 10*orders {
		note += fmt.Sprintf(", %d requests", requests)
	}
	return fmt.Sprintf("%d%s", delivered, note)
}

// restarted hands the orders to an outbox, stops it at once as a deployment does,
// opens it again, and waits until it is empty. An outbox in memory is not stopped
// before it is empty.
func restarted(name string, open func(tb testing.TB, cfg outbox.Config) (reopen func() (outbox.Outbox, error))) sender {
	return sender{name, func(tb testing.TB, url string, orders int) func() {
		reopen := open(tb, outbox.Config{Destination: newClient(tb, url, logEvent, nil), Logger: quiet})
		events := purchases(orders)
		return func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			stopped, stop := context.WithCancel(ctx)
			stop()
			for run := range 2 {
				ob, err := reopen()
				if err == nil {
					err = ob.Start(ctx)
				}
				if err != nil {
					tb.Error(err)
					return
				}
				if run == 0 {
					if _, err := ob.Send(ctx, events...); err != nil {
						tb.Error(err)
					}
				}
				if _, lost := ob.(*outbox.Memory); run == 0 && !lost {
					_, _ = ob.Stop(stopped)
					continue
				}
				for ctx.Err() == nil {
					if stats, err := ob.Stats(ctx); err == nil && stats.Queued == 0 {
						break
					}
					time.Sleep(50 * time.Millisecond)
				}
				_, _ = ob.Stop(ctx)
				return
			}
		}
	}}
}

func memoryOutbox() sender {
	return restarted("clickid, outbox in memory", func(tb testing.TB, cfg outbox.Config) func() (outbox.Outbox, error) {
		memory, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: cfg, AcceptLoss: true})
		return func() (outbox.Outbox, error) { return memory, err }
	})
}

func sqliteOutbox() sender {
	return restarted("clickid, outbox on SQLite", func(tb testing.TB, cfg outbox.Config) func() (outbox.Outbox, error) {
		file := filepath.Join(tb.TempDir(), "outbox.db")
		return func() (outbox.Outbox, error) {
			ob, err := sqliteoutbox.Open(file, sqliteoutbox.Config{Delivery: cfg})
			if err != nil {
				return nil, err
			}
			tb.Cleanup(func() { _ = ob.Close() })
			return ob, ob.Migrate(context.Background())
		}
	})
}

func riverOutbox() sender {
	return restarted("clickid, outbox on PostgreSQL", func(tb testing.TB, cfg outbox.Config) func() (outbox.Outbox, error) {
		pool, err := pgxpool.New(context.Background(), testserver.Postgres(tb))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(pool.Close)
		return func() (outbox.Outbox, error) {
			ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{Delivery: cfg})
			if err != nil {
				return nil, err
			}
			return ob, ob.Migrate(context.Background())
		}
	})
}

func asynqOutbox() sender {
	return restarted("clickid, outbox on asynq", func(tb testing.TB, cfg outbox.Config) func() (outbox.Outbox, error) {
		open := openAsynq(tb, cfg)
		return func() (outbox.Outbox, error) { return open() }
	})
}

// tableOutbox has the outbox table on PostgreSQL, whose relay feeds asynq.
func tableOutbox() sender {
	return restarted("clickid, outbox table and asynq", func(tb testing.TB, cfg outbox.Config) func() (outbox.Outbox, error) {
		openQueue := openAsynq(tb, cfg)
		db, err := sql.Open("pgx", testserver.Postgres(tb))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = db.Close() })
		table, err := outbox.NewTable(outbox.TableConfig{Database: outbox.DatabasePostgreSQL, Destination: cfg.Destination})
		if err != nil {
			tb.Fatal(err)
		}
		return func() (outbox.Outbox, error) {
			queue, err := openQueue()
			if err != nil {
				return nil, err
			}
			ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table})
			if err != nil {
				return nil, err
			}
			return ob, ob.Migrate(context.Background())
		}
	})
}

// openAsynq returns a function that opens an outbox on a Redis server of its own.
func openAsynq(tb testing.TB, cfg outbox.Config) func() (*asynqoutbox.Outbox, error) {
	client := redis.NewClient(&redis.Options{Addr: testserver.StartRedis(tb).Addr(), ContextTimeoutEnabled: true})
	tb.Cleanup(func() { _ = client.Close() })
	return func() (*asynqoutbox.Outbox, error) {
		return asynqoutbox.New(asynqoutbox.Config{Delivery: cfg, Redis: client, EnqueueTimeout: patience})
	}
}
