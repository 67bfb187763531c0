package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // for testserver
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// shop is a database with orders and an outbox that is not started.
type shop struct {
	outbox outbox.Outbox
	// transact runs do in a transaction.
	transact func(ctx context.Context, do func(transaction) error) error
	// after stores a conversion after the commit, where the outbox shares no
	// transaction with the orders. It is nil elsewhere.
	after clickid.Sender
	// committed is called after each commit.
	committed func()
}

// transaction is a transaction of a shop, and the outbox in it.
type transaction struct {
	exec, read func(query string, args ...any) error
	outbox     clickid.Sender
}

// setup opens a shop. Workers default to the number of the outbox.
type setup struct {
	name string
	open func(b *testing.B, cfg outbox.Config, workers int) *shop
}

// shops are the setups on River. With a SQLite file apart, the conversion is stored
// in a transaction after that of the order.
var shops = []setup{
	{"River in PostgreSQL", openPostgres},
	{"the shop's SQLite file", openSharedSQLite},
	{"a SQLite file apart", openSQLiteApart},
}

// allShops are the setups of every outbox.
var allShops = append(slices.Clone(shops),
	setup{"outbox table in the shop's SQLite file", openSQLiteTable},
	setup{"outbox table and asynq", openTable}, setup{"asynq", openAsynq})

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

// order stores an order with its lines in a transaction, with or without its
// conversion.
func (s *shop) order(ctx context.Context, id string, converts bool) error {
	err := s.transact(ctx, func(t transaction) error {
		if err := place(t, id); err != nil || !converts || s.after != nil {
			return err
		}
		return convert(ctx, t.outbox, id)
	})
	if err == nil && converts && s.after != nil {
		err = convert(ctx, s.after, id)
	}
	if err == nil && s.committed != nil {
		s.committed()
	}
	return err
}

func place(t transaction, id string) error {
	if err := t.exec(insertOrder, id, "c-"+id); err != nil {
		return err
	}
	for line := range linesEach {
		n := sku(id, line)
		if err := t.read(readStock, n); err != nil {
			return err
		}
		if err := t.exec(updateStock, n); err != nil {
			return err
		}
		if err := t.exec(insertLine, id, n); err != nil {
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
	return &shop{outbox: ob, transact: func(ctx context.Context, do func(transaction) error) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			return do(transaction{
				exec: func(query string, args ...any) error {
					_, err := tx.Exec(ctx, query, args...)
					return err
				},
				read: func(query string, args ...any) error {
					var pieces int
					return tx.QueryRow(ctx, query, args...).Scan(&pieces)
				},
				outbox: ob.In(tx),
			})
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
	return &shop{outbox: ob, transact: transactions(db, ob.In)}
}

func openSQLiteApart(b *testing.B, cfg outbox.Config, workers int) *shop {
	b.Helper()
	ob := openFile(b, cfg, workers)
	return &shop{outbox: ob, transact: transactions(openShop(b), nil), after: ob}
}

// openFile returns an outbox in a SQLite file of its own.
func openFile(b *testing.B, cfg outbox.Config, workers int) *sqliteoutbox.Outbox {
	b.Helper()
	ob, err := sqliteoutbox.Open(filepath.Join(b.TempDir(), "outbox.db"), sqliteoutbox.Config{Delivery: cfg, Workers: workers})
	if err != nil {
		b.Fatal(err)
	}
	if err := ob.Migrate(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ob.Close() })
	return ob
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

// openTable opens a shop on PostgreSQL with the outbox table, whose relay feeds
// asynq.
func openTable(b *testing.B, cfg outbox.Config, workers int) *shop {
	b.Helper()
	queue, _ := newAsynq(b, cfg, workers)
	return newTable(b, outbox.DatabasePostgreSQL, openPostgresSQL(b), cfg, queue)
}

// openSQLiteTable opens a shop on SQLite with the outbox table, whose relay feeds a
// SQLite file apart.
func openSQLiteTable(b *testing.B, cfg outbox.Config, workers int) *shop {
	b.Helper()
	return newTable(b, outbox.DatabaseSQLite, openShop(b), cfg, openFile(b, cfg, workers))
}

// newTable returns a shop with an outbox table in db.
func newTable(b *testing.B, database outbox.Database, db *sql.DB, cfg outbox.Config, queue outbox.Queue) *shop {
	b.Helper()
	table, err := outbox.NewTable(outbox.TableConfig{Database: database, Destination: cfg.Destination})
	if err != nil {
		b.Fatal(err)
	}
	ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table})
	if err != nil {
		b.Fatal(err)
	}
	if err := ob.Migrate(context.Background()); err != nil {
		b.Fatal(err)
	}
	return &shop{outbox: ob, transact: transactions(db, func(tx *sql.Tx) clickid.Sender { return ob.In(tx) }), committed: ob.Notify}
}

// openAsynq opens a shop on PostgreSQL that sends to asynq after the commit.
func openAsynq(b *testing.B, cfg outbox.Config, workers int) *shop {
	b.Helper()
	ob, _ := newAsynq(b, cfg, workers)
	return &shop{outbox: ob, transact: transactions(openPostgresSQL(b), nil), after: ob}
}

// newAsynq returns an outbox on a private Redis server, which flushes each write to
// its append-only file unless its arguments change that.
func newAsynq(b *testing.B, cfg outbox.Config, workers int, args ...string) (*asynqoutbox.Outbox, *redis.Client) {
	b.Helper()
	options, err := redis.ParseURL(testserver.StartRedis(b, args...).DSN())
	if err != nil {
		b.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	b.Cleanup(func() { _ = client.Close() })
	ob, err := asynqoutbox.New(asynqoutbox.Config{Delivery: cfg, Redis: client, Workers: workers, EnqueueTimeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	return ob, client
}

// openPostgresSQL opens a PostgreSQL database of the shop with database/sql.
func openPostgresSQL(b *testing.B) *sql.DB {
	b.Helper()
	db, err := sql.Open("pgx", testserver.Postgres(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxIdleConns(visitors)
	if _, err := db.Exec(schema); err != nil {
		b.Fatal(err)
	}
	return db
}

// transactions runs transactions of db. in, which may be nil, returns the outbox
// in a transaction.
func transactions(db *sql.DB, in func(*sql.Tx) clickid.Sender) func(context.Context, func(transaction) error) error {
	return func(ctx context.Context, do func(transaction) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		t := transaction{
			exec: func(query string, args ...any) error {
				_, err := tx.ExecContext(ctx, query, args...)
				return err
			},
			read: func(query string, args ...any) error {
				var pieces int
				return tx.QueryRowContext(ctx, query, args...).Scan(&pieces)
			},
		}
		if in != nil {
			t.outbox = in(tx)
		}
		if err := do(t); err != nil {
			return err
		}
		return tx.Commit()
	}
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

// fill queues the events of many orders, a thousand at a time, from some callers.
func (s *shop) fill(b *testing.B, prefix string, events, callers int) {
	b.Helper()
	const batch = 1000
	var parts atomic.Int64
	ratio.AtOnce(callers, func() {
		first := int(parts.Add(1)-1) * batch
		s.store(b, prefix, first, min(events, first+batch))
	})((events + batch - 1) / batch)
}

// store queues the events of some orders with one Send.
func (s *shop) store(b *testing.B, prefix string, first, end int) {
	b.Helper()
	conversions := make([]clickid.Event, end-first)
	for i := range conversions {
		conversions[i] = conversion(fmt.Sprintf("%s-%d", prefix, first+i))
	}
	if _, err := s.outbox.Send(context.Background(), conversions...); err != nil {
		b.Error(err)
	}
}
