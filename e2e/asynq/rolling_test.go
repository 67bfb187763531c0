package asynq_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/clickid/clickid/e2e/internal/rolling"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
)

func TestOutbox_rollingDeployment(t *testing.T) {
	for name, test := range rolling.Tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testserver.StartRedis(t, "--appendfsync", "no")
			test(t, func(t *testing.T, cfg outbox.Config) outbox.Outbox { return openVersion(t, server, cfg) })
		})
	}
}

// TestTable_rollingDeployment has a table and a relay in each version.
func TestTable_rollingDeployment(t *testing.T) {
	for kind, d := range map[outbox.Database]struct {
		driver string
		create func(testing.TB) string
	}{
		outbox.DatabasePostgreSQL: {"pgx", testserver.Postgres},
		outbox.DatabaseMySQL:      {"mysql", testserver.MySQL},
		outbox.DatabaseSQLite: {"sqlite", func(tb testing.TB) string {
			return "file:" + filepath.Join(tb.TempDir(), "shop.db") + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"
		}},
	} {
		for name, test := range rolling.Tests {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				t.Parallel()
				server, dsn := testserver.StartRedis(t, "--appendfsync", "no"), d.create(t)
				test(t, func(t *testing.T, cfg outbox.Config) outbox.Outbox {
					db, err := sql.Open(d.driver, dsn)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = db.Close() })
					table, err := outbox.NewTable(outbox.TableConfig{Database: kind, Destination: cfg.Destination})
					if err != nil {
						t.Fatal(err)
					}
					ob, err := outbox.NewTableOutbox(openVersion(t, server, cfg), outbox.RelayConfig{DB: db, Table: table, Batch: 50, Interval: 20 * time.Millisecond})
					if err != nil {
						t.Fatal(err)
					}
					if err := ob.Migrate(context.Background()); err != nil {
						t.Fatal(err)
					}
					return ob
				})
			})
		}
	}
}

// openVersion opens a version of the configuration with a connection of its own.
func openVersion(t *testing.T, server *testserver.Server, cfg outbox.Config) *asynqoutbox.Outbox {
	t.Helper()
	connection, err := connect(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return newOutbox(t, asynqoutbox.Config{Delivery: cfg, Redis: connection, Workers: 20})
}
