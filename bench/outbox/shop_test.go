package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // for testserver
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// queue is an outbox on either database.
type queue interface {
	outbox.Outbox
	outbox.Enqueuer
}

// shop is a database with orders and an outbox that is not started.
type shop struct {
	outbox queue
	// order stores an order in a transaction, with or without its conversion.
	order func(ctx context.Context, id string, converts bool) error
}

// shops are the measured setups. "SQLite apart" stores the conversion in a
// separate transaction. Workers default to the number of the outbox.
var shops = []struct {
	name string
	open func(b *testing.B, cfg outbox.Config, workers int) *shop
}{
	{"PostgreSQL", openPostgres},
	{"SQLite shared", openSharedSQLite},
	{"SQLite apart", openSQLiteApart},
}

// schema is that of a small shop: an order reads and updates the stock and has
// three lines.
const schema = `
CREATE TABLE stock (sku integer PRIMARY KEY, pieces integer NOT NULL);
CREATE TABLE orders (id text PRIMARY KEY, customer text NOT NULL, total integer NOT NULL, token text);
CREATE TABLE lines (order_id text NOT NULL, sku integer NOT NULL, pieces integer NOT NULL, price integer NOT NULL, PRIMARY KEY (order_id, sku));
INSERT INTO stock WITH RECURSIVE n(sku) AS (SELECT 1 UNION ALL SELECT sku + 1 FROM n WHERE sku < 1000) SELECT sku, 1000000 FROM n;
`

const (
	insertOrder = "INSERT INTO orders (id, customer, total, token) VALUES ($1, $2, 14999, 'none')"
	readStock   = "SELECT pieces FROM stock WHERE sku = $1"
	updateStock = "UPDATE stock SET pieces = pieces - 1 WHERE sku = $1"
	insertLine  = "INSERT INTO lines (order_id, sku, pieces, price) VALUES ($1, $2, 1, 4999)"
	linesEach   = 3
)

// sku spreads the orders over the stock, in ascending order within an order.
func sku(id string, line int) int {
	sum := 0
	for _, c := range id {
		sum = sum*31 + int(c)
	}
	return (sum&0x7fffffff)%330*linesEach + line + 1
}

// place stores an order through the driver of either database.
func place(id string, exec func(query string, args ...any) error, read func(query string, args ...any) error) error {
	if err := exec(insertOrder, id, "c-"+id); err != nil {
		return err
	}
	for line := range linesEach {
		n := sku(id, line)
		if err := read(readStock, n); err != nil {
			return err
		}
		if err := exec(updateStock, n); err != nil {
			return err
		}
		if err := exec(insertLine, id, n); err != nil {
			return err
		}
	}
	return nil
}

func convert(ctx context.Context, s clickid.Sender, id string) error {
	result, err := clickid.Convert(ctx, s, conversion(id))
	if err == nil && result.Verdict != clickid.VerdictQueued {
		err = fmt.Errorf("the conversion is not queued: %v", result.Verdict)
	}
	return err
}

func openPostgres(b *testing.B, cfg outbox.Config, workers int) *shop {
	b.Helper()
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, testserver.Postgres(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	if _, err := pool.Exec(ctx, schema); err != nil {
		b.Fatal(err)
	}
	ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{Delivery: cfg, Workers: workers})
	if err != nil {
		b.Fatal(err)
	}
	if err := ob.Migrate(ctx); err != nil {
		b.Fatal(err)
	}
	return &shop{outbox: ob, order: func(ctx context.Context, id string, converts bool) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			err := place(id, func(query string, args ...any) error {
				_, err := tx.Exec(ctx, query, args...)
				return err
			}, func(query string, args ...any) error {
				var pieces int
				return tx.QueryRow(ctx, query, args...).Scan(&pieces)
			})
			if err != nil || !converts {
				return err
			}
			return convert(ctx, ob.In(tx), id)
		})
	}}
}

func openSharedSQLite(b *testing.B, cfg outbox.Config, workers int) *shop {
	b.Helper()
	db := openShop(b)
	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{Delivery: cfg, Workers: workers})
	if err != nil {
		b.Fatal(err)
	}
	if err := ob.Migrate(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ob.Close() })
	return &shop{outbox: ob, order: func(ctx context.Context, id string, converts bool) error {
		return placeSQLite(ctx, db, id, func(tx *sql.Tx) error {
			if !converts {
				return nil
			}
			return convert(ctx, ob.In(tx), id)
		})
	}}
}

func openSQLiteApart(b *testing.B, cfg outbox.Config, workers int) *shop {
	b.Helper()
	db := openShop(b)
	ob, err := sqliteoutbox.Open(filepath.Join(b.TempDir(), "outbox.db"), sqliteoutbox.Config{Delivery: cfg, Workers: workers})
	if err != nil {
		b.Fatal(err)
	}
	if err := ob.Migrate(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ob.Close() })
	return &shop{outbox: ob, order: func(ctx context.Context, id string, converts bool) error {
		if err := placeSQLite(ctx, db, id, func(*sql.Tx) error { return nil }); err != nil || !converts {
			return err
		}
		return convert(ctx, ob, id)
	}}
}

// openShop opens a SQLite database of the shop.
func openShop(b *testing.B) *sql.DB {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "shop.db")+
		"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema); err != nil {
		b.Fatal(err)
	}
	return db
}

func placeSQLite(ctx context.Context, db *sql.DB, id string, then func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	err = place(id, func(query string, args ...any) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}, func(query string, args ...any) error {
		var pieces int
		return tx.QueryRowContext(ctx, query, args...).Scan(&pieces)
	})
	if err == nil {
		err = then(tx)
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

// start starts the outbox and stops it when the benchmark ends.
func (s *shop) start(b *testing.B) {
	b.Helper()
	if err := s.outbox.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if _, err := s.outbox.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
}

// fill queues a number of events, a thousand at a time.
func (s *shop) fill(b *testing.B, prefix string, events int) {
	b.Helper()
	const batch = 1000
	for first := 0; first < events; first += batch {
		conversions := make([]clickid.Event, min(batch, events-first))
		for i := range conversions {
			conversions[i] = conversion(fmt.Sprintf("%s-%d", prefix, first+i))
		}
		if _, err := s.outbox.Send(context.Background(), conversions...); err != nil {
			b.Fatal(err)
		}
	}
}
