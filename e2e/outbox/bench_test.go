package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// benchmarkEachDatabase runs run on the shared servers and on SQLite.
func benchmarkEachDatabase(b *testing.B, run func(b *testing.B, d database)) {
	for _, kind := range []outbox.Database{outbox.DatabasePostgreSQL, outbox.DatabaseMySQL, outbox.DatabaseSQLite} {
		b.Run(string(kind), func(b *testing.B) { run(b, newDatabase(b, kind)) })
	}
}

// BenchmarkOrder measures a transaction with an order and three lines: without
// the outbox table, with it, and with a running relay.
func BenchmarkOrder(b *testing.B) {
	benchmarkEachDatabase(b, func(b *testing.B, d database) {
		db := d.open(b)
		table := d.table(b, db)
		for _, statement := range []string{
			"CREATE TABLE orders (id varchar(40) PRIMARY KEY, total integer NOT NULL)",
			"CREATE TABLE order_lines (order_id varchar(40) NOT NULL, article varchar(40) NOT NULL, quantity integer NOT NULL, PRIMARY KEY (order_id, article))",
		} {
			_, err := db.Exec(statement)
			require.NoError(b, err)
		}
		insertOrder, insertLine := "INSERT INTO orders (id, total) VALUES (?, ?)", "INSERT INTO order_lines (order_id, article, quantity) VALUES (?, ?, ?)"
		if d.kind == outbox.DatabasePostgreSQL {
			insertOrder, insertLine = "INSERT INTO orders (id, total) VALUES ($1, $2)", "INSERT INTO order_lines (order_id, article, quantity) VALUES ($1, $2, $3)"
		}
		var number atomic.Int64
		place := func(convert func(tx *sql.Tx, id string) error) error {
			id := strconv.FormatInt(number.Add(1), 10)
			return inTransaction(db, func(tx *sql.Tx) error {
				if _, err := tx.Exec(insertOrder, id, 14999); err != nil {
					return err
				}
				for line := range 3 {
					if _, err := tx.Exec(insertLine, id, fmt.Sprint("article-", line), 1); err != nil {
						return err
					}
				}
				return convert(tx, id)
			})
		}
		conversion := func(tx *sql.Tx, id string) error {
			_, err := clickid.Convert(context.Background(), table.In(tx), newEvent(id))
			return err
		}
		run := func(name string, convert func(tx *sql.Tx, id string) error) {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for range b.N {
					if err := place(convert); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("order only", func(*sql.Tx, string) error { return nil })
		run("with its conversion", conversion)
		startRelay(b, outbox.RelayConfig{DB: d.open(b), Table: table, Queue: discarding{}})
		run("with its conversion while a relay works", conversion)
	})
}

// discarding is a queue without cost.
type discarding struct{}

func (discarding) Enqueue(context.Context, []outbox.Record) (map[string]string, error) {
	return nil, nil
}

// BenchmarkRelay moves a backlog to a queue without cost. An operation is one
// event.
func BenchmarkRelay(b *testing.B) {
	benchmarkEachDatabase(b, func(b *testing.B, d database) {
		db := d.open(b)
		table := d.table(b, db)
		for sent := 0; sent < b.N; sent += 500 {
			write(b, table.In(db), newEvents(fmt.Sprint("backlog-", sent), min(500, b.N-sent))...)
		}
		relay, err := outbox.NewRelay(outbox.RelayConfig{DB: db, Table: table, Queue: discarding{}})
		require.NoError(b, err)
		b.ReportAllocs()
		b.ResetTimer()
		require.NoError(b, relay.Start(context.Background()))
		remaining, err := relay.Stop(context.Background())
		b.StopTimer()
		require.NoError(b, err)
		require.Zero(b, remaining)
	})
}

// BenchmarkCommitToQueue measures the latency from an order's commit until the
// queue has its event, in an idle shop that calls Notify after the commit.
func BenchmarkCommitToQueue(b *testing.B) {
	benchmarkEachDatabase(b, func(b *testing.B, d database) {
		db := d.open(b)
		table := d.table(b, db)
		arrived := make(chan time.Time, 1)
		startRelay(b, outbox.RelayConfig{DB: db, Table: table, Queue: outbox.EnqueueFunc(func(context.Context, []outbox.Record) (map[string]string, error) {
			arrived <- time.Now()
			return nil, nil
		})})
		var waited time.Duration
		for i := range b.N {
			require.NoError(b, inTransaction(db, func(tx *sql.Tx) error {
				_, err := table.In(tx).Send(context.Background(), newEvent(fmt.Sprint("order-", i)))
				return err
			}))
			committed := time.Now()
			table.Notify()
			waited += max(0, (<-arrived).Sub(committed))
		}
		b.ReportMetric(float64(waited.Microseconds())/float64(b.N)/1000, "ms/commit-to-queue")
	})
}
