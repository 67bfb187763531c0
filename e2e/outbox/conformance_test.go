package outbox_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// closing is an outbox that closes the file of its queue in Close.
type closing struct {
	*outbox.TableOutbox
	queue *sqliteoutbox.Outbox
}

// TestTable_conformance runs the conformance suite on an outbox table in the
// order's database whose relay feeds River in a SQLite file. This is how a shop
// on one machine uses MySQL, MariaDB or another database.
func TestTable_conformance(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		outboxtest.Run(t, func(t testing.TB) outboxtest.Backend {
			d := newDatabase(t, d.kind)
			db := d.open(t)
			file := filepath.Join(t.TempDir(), "outbox.db")
			var last *closing
			end := func() {
				if last != nil {
					_ = last.queue.Close() // the test has stopped or killed it
				}
			}
			t.Cleanup(end)
			return outboxtest.Backend{
				Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
					end()
					queue, err := sqliteoutbox.Open(file, sqliteoutbox.Config{Delivery: cfg})
					require.NoError(t, err)
					require.NoError(t, queue.Migrate(context.Background()))
					ob, err := outbox.NewTableOutbox(queue, outbox.RelayConfig{
						DB: db, Table: d.tableOf(t, db, cfg.Destination), Interval: 20 * time.Millisecond, Hook: cfg.Hook,
					})
					require.NoError(t, err)
					last = &closing{ob, queue}
					return last
				},
				Transact: func(_ context.Context, ob outbox.Outbox, f func(clickid.Sender) error) error {
					if err := inTransaction(db, func(tx *sql.Tx) error { return f(ob.(*closing).In(tx)) }); err != nil {
						return err
					}
					ob.(*closing).Notify()
					return nil
				},
				Single:    true,
				Exclusive: d.kind == outbox.DatabaseSQLite,
				Unaware:   true,
			}
		})
	})
}
