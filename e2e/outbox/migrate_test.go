package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/outbox"
)

func TestTable_Migrate_concurrent(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		var group sync.WaitGroup
		for range 8 {
			db := d.open(t)
			table, err := outbox.NewTable(outbox.TableConfig{Database: d.kind, Destination: newClient(t, "http://127.0.0.1:1"), Prefix: "shop_"})
			require.NoError(t, err)
			group.Add(1)
			go func() {
				defer group.Done()
				if err := table.Migrate(context.Background(), db); err != nil {
					t.Error(err)
				}
			}()
		}
		group.Wait()
	})
}

// indexes returns the number of the indexes that Find uses.
func indexes(t *testing.T, db *sql.DB, kind outbox.Database) (n int) {
	t.Helper()
	query := "SELECT count(*) FROM pg_indexes WHERE indexname IN "
	switch kind {
	case outbox.DatabaseMySQL:
		query = "SELECT COUNT(DISTINCT index_name) FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name IN "
	case outbox.DatabaseSQLite:
		query = "SELECT count(*) FROM sqlite_schema WHERE name IN "
	}
	require.NoError(t, db.QueryRowContext(t.Context(), query+"('clickid_outbox_event', 'clickid_outbox_moved_event')").Scan(&n))
	return n
}

// TestTable_Migrate_indexes migrates tables of a version without indexes, at first
// while an order is open.
func TestTable_Migrate_indexes(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		table := d.table(t, db)
		for _, name := range []string{"clickid_outbox", "clickid_outbox_moved"} {
			statement := "DROP INDEX " + name + "_event"
			if d.kind == outbox.DatabaseMySQL {
				statement += " ON " + name
			}
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		if d.kind != outbox.DatabaseSQLite { // there the migration waits like an order
			require.NoError(t, inTransaction(db, func(tx *sql.Tx) error {
				write(t, table.In(tx), newEvent("open"))
				var log bytes.Buffer
				queue, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: outbox.Config{Destination: newClient(t, "http://127.0.0.1:1")}, AcceptLoss: true})
				require.NoError(t, err)
				ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				require.NoError(t, err)
				require.NoError(t, ob.Migrate(t.Context()))
				require.Less(t, indexes(t, db, d.kind), 2)
				require.Contains(t, log.String(), "level=WARN msg=\"outbox: an index of the outbox table cannot be created")
				return nil
			}))
		}
		require.NoError(t, table.Migrate(t.Context(), db))
		require.Equal(t, 2, indexes(t, db, d.kind))
		require.NoError(t, table.Migrate(t.Context(), db))
		write(t, table.In(db), newEvent("later"))
	})
}
