package crash

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/outbox"
)

// OpenQueue opens a queue whose events are at the address where, without
// starting it.
type OpenQueue func(ctx context.Context, where string, cfg outbox.Config) (outbox.Queue, error)

// TableSetup returns a setup with the orders and the outbox table in one
// database, whose relay feeds a queue. The harness passes the DSN of the
// database and the address of the queue, separated by a space, as the name of
// the database.
func TableSetup(kind outbox.Database, open OpenQueue) Setup {
	return Setup{
		Name: string(kind),
		Open: func(ctx context.Context, database string, client *capi.Client) (Shop, error) {
			return openTableShop(ctx, kind, open, database, client)
		},
		Orders: func(ctx context.Context, database string) ([]string, error) {
			return committedOrders(ctx, kind, database)
		},
	}
}

// tableShop is the shop of TableSetup.
type tableShop struct {
	db     *sql.DB
	outbox *outbox.TableOutbox
	insert string
}

func openOrders(kind outbox.Database, database string) (db *sql.DB, where string, err error) {
	dsn, where, _ := strings.Cut(database, " ")
	db, err = sql.Open(map[outbox.Database]string{outbox.DatabasePostgreSQL: "pgx", outbox.DatabaseMySQL: "mysql", outbox.DatabaseSQLite: "sqlite"}[kind], dsn)
	return db, where, err
}

func openTableShop(ctx context.Context, kind outbox.Database, open OpenQueue, database string, client *capi.Client) (*tableShop, error) {
	db, where, err := openOrders(kind, database)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS orders (id varchar(64) PRIMARY KEY)"); err != nil {
		return nil, err
	}
	table, err := outbox.NewTable(outbox.TableConfig{Database: kind, Destination: client})
	if err != nil {
		return nil, err
	}
	queue, err := open(ctx, where, outbox.Config{Destination: client, MinSnooze: 50 * time.Millisecond, MaxSnooze: 2 * time.Second})
	if err != nil {
		return nil, err
	}
	ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table, Interval: 50 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	if err := ob.Migrate(ctx); err != nil {
		return nil, err
	}
	s := &tableShop{db: db, outbox: ob, insert: "INSERT INTO orders (id) VALUES (?)"}
	if kind == outbox.DatabasePostgreSQL {
		s.insert = "INSERT INTO orders (id) VALUES ($1)"
	}
	return s, ob.Start(ctx)
}

// Order implements [Shop].
func (s *tableShop) Order(ctx context.Context, conversion clickid.Event, commit bool) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after Commit
	if _, err := tx.ExecContext(ctx, s.insert, conversion.ID); err != nil {
		return err
	}
	if result, err := clickid.Convert(ctx, s.outbox.In(tx), conversion); err != nil || result.Verdict != clickid.VerdictQueued {
		return fmt.Errorf("storing the conversion: %v, %w", result.Verdict, err)
	}
	if !commit {
		return nil
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.outbox.Notify()
	return nil
}

func committedOrders(ctx context.Context, kind outbox.Database, database string) (ids []string, err error) {
	db, _, err := openOrders(kind, database)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, "SELECT id FROM orders")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
