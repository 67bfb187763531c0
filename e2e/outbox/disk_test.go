package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
)

// TestTable_fullServerDisk fills the disk of the database's server while orders
// are placed and the relay moves their conversions.
func TestTable_fullServerDisk(t *testing.T) {
	t.Parallel()
	for _, d := range []struct {
		kind    outbox.Database
		driver  string
		start   func(testing.TB) *testserver.Server
		insert  string
		refusal string
	}{
		{outbox.DatabasePostgreSQL, "pgx", testserver.StartPostgresOnDisk, "INSERT INTO orders (id) VALUES ($1)", "No space left"},
		{outbox.DatabaseMySQL, "mysql", testserver.StartMariaDBOnDisk, "INSERT INTO orders (id) VALUES (?)", "full"},
	} {
		t.Run(string(d.kind), func(t *testing.T) {
			t.Parallel()
			server := d.start(t)
			place := database{d.kind, d.driver, server.DSN()}
			db, q := place.open(t), newQueue()
			table := place.table(t, db)
			_, err := db.Exec("CREATE TABLE orders (id varchar(64) PRIMARY KEY)")
			require.NoError(t, err)
			placed := make(map[string]bool)
			order := func() error {
				id := fmt.Sprint("order-", len(placed))
				err := inTransaction(db, func(tx *sql.Tx) error {
					if _, err := tx.Exec(d.insert, id); err != nil {
						return err
					}
					_, err := clickid.Convert(context.Background(), table.In(tx), newEvent(id))
					return err
				})
				placed[id] = err == nil
				return err
			}
			for range 50 {
				require.NoError(t, order())
			}
			server.FillDisk()
			for err == nil {
				err = order()
				require.Less(t, len(placed), 100_000)
			}
			require.ErrorContains(t, err, d.refusal)
			waiting := count(t, table, db)
			startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q})
			eventually(t, "the queue gets the events", func() bool { return q.size() == waiting })
			server.FreeDisk()
			for range 50 {
				require.NoError(t, order())
			}
			eventually(t, "everything is moved", func() bool { return count(t, table, db) == 0 })

			stored := 0
			for id, ok := range placed {
				var n int
				require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM orders WHERE id = '"+id+"'").Scan(&n))
				require.Equal(t, ok, n == 1, id)
				stored += n
			}
			require.Equal(t, stored, q.size(), "orders and conversions differ")
		})
	}
}
