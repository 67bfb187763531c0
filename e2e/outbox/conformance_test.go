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

// closing is an outbox whose engine's file is closed with it.
type closing struct {
	*outbox.TableOutbox
	engine *sqliteoutbox.Outbox
}

// TestTheTableBeforeRiverOnSQLite runs the suite of all outboxes on an outbox
// table in the order's database, whose relay feeds River in a SQLite file of
// its own: how a shop on one machine uses MySQL, MariaDB or any other database.
func TestTheTableBeforeRiverOnSQLite(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		outboxtest.Run(t, func(t testing.TB) outboxtest.Backend {
			d := newDatabase(t, d.kind)
			db := d.open(t)
			file := filepath.Join(t.TempDir(), "outbox.db")
			var last *closing
			end := func() {
				if last != nil {
					_ = last.engine.Close() // the test has stopped it already, or killed it
				}
			}
			t.Cleanup(end)
			return outboxtest.Backend{
				Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
					end()
					engine, err := sqliteoutbox.Open(context.Background(), file, sqliteoutbox.Config{Delivery: cfg, StartLater: true})
					require.NoError(t, err)
					ob, err := outbox.NewTableOutbox(engine, outbox.RelayConfig{
						DB: db, Table: d.tableOf(t, db, cfg.Client), Interval: 20 * time.Millisecond, Hook: cfg.Hook,
					})
					require.NoError(t, err)
					last = &closing{ob, engine}
					return last
				},
				Transact: func(_ context.Context, ob outbox.Outbox, f func(clickid.Sender) error) error {
					if err := inTransaction(db, func(tx *sql.Tx) error { return f(ob.(*closing).In(tx)) }); err != nil {
						return err
					}
					ob.(*closing).Notify()
					return nil
				},
				Single: true,
			}
		})
	})
}
