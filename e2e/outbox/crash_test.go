package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox_sqlite"
)

func TestMain(m *testing.M) {
	crash.Main(m, setup(outbox.PostgreSQL), setup(outbox.MySQL), setup(outbox.SQLite))
}

// setup keeps the orders and the outbox table in one database, and feeds River
// in a SQLite file of its own. The DSN and that file, with a space between,
// are what the harness calls the database.
func setup(dialect outbox.Dialect) crash.Setup {
	return crash.Setup{
		Name: string(dialect),
		Open: func(ctx context.Context, place string, client *clickid.Client) (crash.Shop, error) {
			return openShop(ctx, dialect, place, client)
		},
		Orders: func(ctx context.Context, place string) ([]string, error) { return committedOrders(ctx, dialect, place) },
	}
}

// shop takes orders.
type shop struct {
	db     *sql.DB
	outbox *outbox.TableOutbox
	insert string
}

func openOrders(dialect outbox.Dialect, place string) (db *sql.DB, file string, err error) {
	dsn, file, _ := strings.Cut(place, " ")
	db, err = sql.Open(map[outbox.Dialect]string{outbox.PostgreSQL: "pgx", outbox.MySQL: "mysql", outbox.SQLite: "sqlite"}[dialect], dsn)
	return db, file, err
}

func openShop(ctx context.Context, dialect outbox.Dialect, place string, client *clickid.Client) (*shop, error) {
	db, file, err := openOrders(dialect, place)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS orders (id varchar(64) PRIMARY KEY)"); err != nil {
		return nil, err
	}
	table, err := outbox.NewTable(outbox.TableConfig{Dialect: dialect, Client: client})
	if err != nil {
		return nil, err
	}
	engine, err := sqliteoutbox.Open(ctx, file, sqliteoutbox.Config{
		Delivery:   outbox.Config{Client: client, MinSnooze: 50 * time.Millisecond},
		StartLater: true,
	})
	if err != nil {
		return nil, err
	}
	ob, err := outbox.NewTableOutbox(engine, outbox.RelayConfig{DB: db, Table: table, Interval: 50 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	if err := ob.Migrate(ctx); err != nil {
		return nil, err
	}
	s := &shop{db: db, outbox: ob, insert: "INSERT INTO orders (id) VALUES (?)"}
	if dialect == outbox.PostgreSQL {
		s.insert = "INSERT INTO orders (id) VALUES ($1)"
	}
	return s, ob.Start(ctx)
}

// Order implements [crash.Shop].
func (s *shop) Order(ctx context.Context, conversion clickid.Event, commit bool) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // without effect after the commit
	if _, err := tx.ExecContext(ctx, s.insert, conversion.ID); err != nil {
		return err
	}
	if report, err := clickid.Convert(ctx, s.outbox.In(tx), conversion); err != nil || !report.Accepted() {
		return fmt.Errorf("storing the conversion: %+v, %w", report, err)
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

func committedOrders(ctx context.Context, dialect outbox.Dialect, place string) (ids []string, err error) {
	db, _, err := openOrders(dialect, place)
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

// place returns an empty database for the orders and a file for the engine.
func (d database) place(t *testing.T) string {
	return d.dsn + " " + filepath.Join(t.TempDir(), "outbox.db")
}

func TestKilledAtAnyMoment(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) { setup(d.dialect).AnyMoment(t, d.place(t), 20) })
}

func TestKilledDuringDelivery(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, outbox.MySQL)
	setup(d.dialect).DuringDelivery(t, d.place(t), 5000, 500, 2000, 4000)
}
