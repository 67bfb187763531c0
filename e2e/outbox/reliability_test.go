package outbox_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/internal/networktest"
	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// TestTable_reliability holds the outbox table and its relay to docs/reliability.md.
func TestTable_reliability(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		reliabilitytest.Run(t, func(t testing.TB, cfg outbox.Config) outbox.Outbox {
			d := newDatabase(t, d.kind) // an empty one for each
			return d.outbox(t, d.open(t), cfg)
		})
	})
}

// TestNetwork_faults delivers from tables through a network with faults. Their events
// are in one table of PostgreSQL.
func TestNetwork_faults(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, outbox.DatabasePostgreSQL)
	db := d.open(t)
	networktest.TestFaults(t, func(t *testing.T, cfg outbox.Config) outbox.Outbox { return d.outbox(t, db, cfg) })
}

// outbox returns an outbox whose relay feeds River in a SQLite file.
func (d database) outbox(t testing.TB, db *sql.DB, cfg outbox.Config) outbox.Outbox {
	queue, err := sqliteoutbox.Open(filepath.Join(t.TempDir(), "outbox.db"), sqliteoutbox.Config{Delivery: cfg})
	require.NoError(t, err)
	t.Cleanup(func() { _ = queue.Close() })
	require.NoError(t, queue.Migrate(context.Background()))
	ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{
		DB: db, Table: d.tableOf(t, db, cfg.Destination), Interval: 20 * time.Millisecond, Hook: cfg.Hook,
	})
	require.NoError(t, err)
	return ob
}
