// Package databases tests the outbox table with the database libraries of shops.
// Its snippets are those of docs/databases.md.
package databases_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
)

// patience limits each test.
const patience = time.Minute

// Order is an order of the shop, for all libraries.
type Order struct {
	Number string `db:"number" gorm:"primaryKey" bun:",pk"`
	Cents  int64  `db:"cents"`
}

// event returns the conversion of an order.
func (o Order) event() clickid.Event {
	now := time.Now().UTC().Truncate(time.Second)
	return clickid.Event{
		Type: clickid.Purchase, ID: o.Number, Time: now, Value: clickid.Minor(o.Cents, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now.Add(-time.Hour), Expires: now.Add(time.Hour)},
	}
}

// shop is a database with orders and an outbox table, and the platform.
type shop struct {
	*testing.T
	ctx      context.Context
	dsn      string
	db       *sql.DB
	queue    *outbox.Memory
	ob       *outbox.TableOutbox
	platform *clickidtest.Server
}

// refusedCents is the value of orders that PostgreSQL refuses at the commit.
const refusedCents = 13

const refuseAtCommit = `
CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'refused at commit'; END $$ LANGUAGE plpgsql;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (NEW.cents = 13) EXECUTE FUNCTION refuse()`

// address returns driver and DSN of an empty database.
func address(t *testing.T, kind outbox.Database) (driver, dsn string) {
	t.Helper()
	switch kind {
	case outbox.DatabasePostgreSQL:
		return "pgx", testserver.Postgres(t)
	case outbox.DatabaseMySQL:
		return "mysql", testserver.MySQL(t)
	}
	return "sqlite", "file:" + filepath.Join(t.TempDir(), "shop.db") + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"
}

func newClient(t *testing.T, platform *clickidtest.Server) *capi.Client {
	t.Helper()
	client, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: platform.URL, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	})
	require.NoError(t, err)
	return client
}

func newShop(t *testing.T, kind outbox.Database) *shop {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &shop{T: t, ctx: ctx, platform: clickidtest.NewServer(t)}
	var driver string
	var err error
	driver, s.dsn = address(t, kind)
	s.db, err = sql.Open(driver, s.dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.db.Close()) })
	_, err = s.db.ExecContext(ctx, "CREATE TABLE orders (number varchar(64) NOT NULL PRIMARY KEY, cents bigint NOT NULL)")
	require.NoError(t, err)
	if kind == outbox.DatabasePostgreSQL {
		_, err = s.db.ExecContext(ctx, refuseAtCommit)
		require.NoError(t, err)
	}
	client := newClient(t, s.platform)
	s.queue, err = outbox.NewMemory(outbox.MemoryConfig{Delivery: outbox.Config{Destination: client}, AcceptLoss: true})
	require.NoError(t, err)
	table, err := outbox.NewTable(outbox.TableConfig{Database: kind, Destination: client})
	require.NoError(t, err)
	s.ob, err = outbox.NewTableOutbox(s.queue, outbox.RelayConfig{DB: s.db, Table: table})
	require.NoError(t, err)
	require.NoError(t, s.ob.Migrate(ctx))
	return s
}

// check places orders: one that commits with its conversion, and on PostgreSQL
// one that is rolled back with it.
func (s *shop) check(kind outbox.Database, place func(o Order) error) {
	s.Helper()
	require.NoError(s, place(Order{Number: "1001", Cents: 14999}))
	want := []string{"1001"}
	if kind == outbox.DatabasePostgreSQL {
		require.ErrorContains(s, place(Order{Number: "1002", Cents: refusedCents}), "refused at commit")
	}
	drained, err := outbox.Drain(s.ctx, s.ob)
	require.NoError(s, err)
	require.Equal(s, outbox.Drained{Settled: len(want)}, drained)
	s.delivered(want)
}

// delivered checks that the orders and the accepted events are the wanted ones.
func (s *shop) delivered(want []string) {
	s.Helper()
	var accepted, orders []string
	for _, e := range s.platform.Accepted() {
		accepted = append(accepted, e.ID)
		require.Equal(s, "149.99", e.Value)
	}
	rows, err := s.db.QueryContext(s.ctx, "SELECT number FROM orders ORDER BY number")
	require.NoError(s, err)
	defer rows.Close()
	for rows.Next() {
		var number string
		require.NoError(s, rows.Scan(&number))
		orders = append(orders, number)
	}
	require.NoError(s, rows.Err())
	require.Equal(s, want, accepted)
	require.Equal(s, want, orders)
}
