// Package relay tests shops that keep conversions in the outbox table, from
// which a relay feeds asynq on Redis or River on SQLite, with real servers.
package relay_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox_asynq"
	"github.com/clickid/clickid/outbox_sqlite"
	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	setups := make([]crash.Setup, len(shops))
	for i, kind := range shops {
		setups[i] = kind.setup()
	}
	crash.Main(m, setups...)
}

// shopKind is a database for the orders, with the outbox table beside them, and
// an engine. The database of its setup is named by where the engine keeps its
// events and the DSN, with a space between.
type shopKind struct {
	name, driver string
	dialect      outbox.Dialect
	insert       string
	engine       func(ctx context.Context, where string, client *clickid.Client) (outbox.Queue, error)
}

var shops = []shopKind{
	{"postgresql to asynq", "pgx", outbox.PostgreSQL, "INSERT INTO orders (id) VALUES ($1)", onAsynq},
	{"mariadb to asynq", "mysql", outbox.MySQL, "INSERT INTO orders (id) VALUES (?)", onAsynq},
	{"mariadb to a file", "mysql", outbox.MySQL, "INSERT INTO orders (id) VALUES (?)", inFile},
	{"sqlite to a file", "sqlite", outbox.SQLite, "INSERT INTO orders (id) VALUES (?)", inFile},
}

func (k shopKind) setup() crash.Setup {
	return crash.Setup{Name: k.name, Open: k.open, Orders: k.committed}
}

// onAsynq delivers with asynq on a Redis server.
func onAsynq(ctx context.Context, where string, client *clickid.Client) (outbox.Queue, error) {
	connection, err := connect(where)
	if err != nil {
		return nil, err
	}
	if err := ageLeases(ctx, connection); err != nil {
		return nil, err
	}
	ob, err := asynqoutbox.New(asynqoutbox.Config{
		Delivery: delivery(client), Redis: connection, PollInterval: 50 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	return ob, ob.Start(ctx)
}

// inFile delivers with River on SQLite, in a file of its own.
func inFile(ctx context.Context, where string, client *clickid.Client) (outbox.Queue, error) {
	return sqliteoutbox.Open(ctx, where, sqliteoutbox.Config{Delivery: delivery(client)})
}

func delivery(client *clickid.Client) outbox.Config {
	return outbox.Config{Client: client, MinSnooze: 50 * time.Millisecond}
}

type shop struct {
	shopKind
	db    *sql.DB
	table *outbox.Table
}

func (k shopKind) open(ctx context.Context, database string, client *clickid.Client) (crash.Shop, error) {
	where, dsn, _ := strings.Cut(database, " ")
	engine, err := k.engine(ctx, where, client)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(k.driver, dsn)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS orders (id varchar(64) PRIMARY KEY)"); err != nil {
		return nil, err
	}
	table, err := outbox.NewTable(outbox.TableConfig{Dialect: k.dialect, Client: client})
	if err != nil {
		return nil, err
	}
	if err := table.Migrate(ctx, db); err != nil {
		return nil, err
	}
	relay, err := outbox.NewRelay(outbox.RelayConfig{DB: db, Table: table, Queue: engine, Interval: 50 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	return &shop{k, db, table}, relay.Start(ctx)
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

func (s *shop) Order(ctx context.Context, conversion clickid.Event, commit bool) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, s.insert, conversion.ID); err != nil {
		return err
	}
	if report, err := clickid.Convert(ctx, s.table.In(tx), conversion); err != nil || !report.Accepted() {
		return fmt.Errorf("storing the conversion: %+v, %w", report, err)
	}
	if !commit {
		return nil
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.table.Notify()
	return nil
}

func (k shopKind) committed(ctx context.Context, database string) ([]string, error) {
	_, dsn, _ := strings.Cut(database, " ")
	db, err := sql.Open(k.driver, dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, "SELECT id FROM orders")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
