package outbox_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// TestTable_reliability holds the outbox table and its relay to docs/reliability.md.
func TestTable_reliability(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		reliabilitytest.Run(t, func(t testing.TB, cfg outbox.Config) outbox.Outbox {
			d := newDatabase(t, d.kind) // an empty one for each
			db := d.open(t)
			queue, err := sqliteoutbox.Open(filepath.Join(t.TempDir(), "outbox.db"), sqliteoutbox.Config{Delivery: cfg})
			require.NoError(t, err)
			t.Cleanup(func() { _ = queue.Close() })
			require.NoError(t, queue.Migrate(context.Background()))
			ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{
				DB: db, Table: d.tableOf(t, db, cfg.Destination), Interval: 20 * time.Millisecond, Hook: cfg.Hook,
			})
			require.NoError(t, err)
			return ob
		})
	})
}
