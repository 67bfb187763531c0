// Package asynq tests the outbox on asynq, fed by the outbox table, against
// real Redis, PostgreSQL and MariaDB servers.
package asynq_test

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
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { crash.Main(m, onPostgres.setup(), onMariaDB.setup()) }

// ordersIn is where a shop keeps its orders, and the outbox table beside them.
// Its database is named by the URL of Redis and the DSN, with a space between.
type ordersIn struct {
	name, driver string
	dialect      outbox.Dialect
	insert       string
}

var (
	onPostgres = ordersIn{"postgres", "pgx", outbox.PostgreSQL, "INSERT INTO orders (id) VALUES ($1)"}
	onMariaDB  = ordersIn{"mariadb", "mysql", outbox.MySQL, "INSERT INTO orders (id) VALUES (?)"}
)

func (o ordersIn) setup() crash.Setup {
	return crash.Setup{Name: o.name, Open: o.open, Orders: o.committed}
}

type shop struct {
	ordersIn
	db    *sql.DB
	table *outbox.Table
}

func (o ordersIn) open(ctx context.Context, database string, client *clickid.Client) (crash.Shop, error) {
	redisURL, dsn, _ := strings.Cut(database, " ")
	connection, err := connect(redisURL)
	if err != nil {
		return nil, err
	}
	if err := ageLeases(ctx, connection); err != nil {
		return nil, err
	}
	db, err := sql.Open(o.driver, dsn)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS orders (id varchar(64) PRIMARY KEY)"); err != nil {
		return nil, err
	}
	table, err := outbox.NewTable(outbox.TableConfig{Dialect: o.dialect, Client: client})
	if err != nil {
		return nil, err
	}
	if err := table.Migrate(ctx, db); err != nil {
		return nil, err
	}
	ob, err := asynqoutbox.New(asynqoutbox.Config{
		Delivery: outbox.Config{Client: client, MinSnooze: 50 * time.Millisecond},
		Redis:    connection, PollInterval: 50 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	relay, err := outbox.NewRelay(outbox.RelayConfig{DB: db, Table: table, Queue: ob, Interval: 50 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	if err := ob.Start(ctx); err != nil {
		return nil, err
	}
	return &shop{o, db, table}, relay.Start(ctx)
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

func (o ordersIn) committed(ctx context.Context, database string) ([]string, error) {
	_, dsn, _ := strings.Cut(database, " ")
	db, err := sql.Open(o.driver, dsn)
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
