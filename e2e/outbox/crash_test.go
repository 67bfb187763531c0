package outbox_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

func TestMain(m *testing.M) {
	crash.Main(m, setup(outbox.DatabasePostgreSQL), setup(outbox.DatabaseMySQL), setup(outbox.DatabaseSQLite))
}

// setup feeds River in a SQLite file.
func setup(kind outbox.Database) crash.Setup {
	return crash.TableSetup(kind, func(ctx context.Context, file string, cfg outbox.Config) (outbox.Queue, error) {
		ob, err := sqliteoutbox.Open(file, sqliteoutbox.Config{Delivery: cfg})
		if err != nil {
			return nil, err
		}
		return ob, ob.Migrate(ctx)
	})
}

// place returns an empty database for the orders and a file for the queue.
func (d database) place(t *testing.T) string {
	return d.dsn + " " + filepath.Join(t.TempDir(), "outbox.db")
}

func TestKill_anyMoment(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) { setup(d.kind).AnyMoment(t, d.place(t), 20) })
}

func TestKill_duringDelivery(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, outbox.DatabaseMySQL)
	setup(d.kind).DuringDelivery(t, d.place(t), 5000, 500, 2000, 4000)
}

func TestKill_everything(t *testing.T) {
	t.Parallel()
	for _, d := range durableServers {
		t.Run(string(d.kind), func(t *testing.T) {
			t.Parallel()
			server := d.start(t)
			server.Restart(d.durable)
			setup(d.kind).PowerCut(t, database{d.kind, d.driver, server.DSN()}.place(t), nil, server)
		})
	}
}
