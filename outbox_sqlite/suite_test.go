package sqliteoutbox_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

func TestOpen_conformance(t *testing.T) {
	t.Parallel()
	outboxtest.Run(t, func(t testing.TB) outboxtest.Backend {
		path := filepath.Join(t.TempDir(), "outbox.db")
		return outboxtest.Backend{
			Single: true,
			Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
				ob, err := openIdle(context.Background(), path, sqliteoutbox.Config{Delivery: cfg})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = ob.Close() })
				return ob
			},
		}
	})
}

func TestNew_conformance(t *testing.T) {
	t.Parallel()
	for name, open := range shopPools {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outboxtest.Run(t, func(t testing.TB) outboxtest.Backend {
				path := filepath.Join(t.TempDir(), "shop.db")
				pools := make(map[outbox.Outbox]*sql.DB)
				return outboxtest.Backend{
					Single:    true,
					Exclusive: true,
					Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
						db := open(t, path)
						ob, err := newIdle(context.Background(), db, sqliteoutbox.Config{Delivery: cfg})
						if err != nil {
							t.Fatal(err)
						}
						t.Cleanup(func() { _ = ob.Close() }) // before the database is closed
						pools[ob] = db
						return ob
					},
					Transact: func(ctx context.Context, ob outbox.Outbox, f func(clickid.Sender) error) error {
						tx, err := pools[ob].BeginTx(ctx, nil)
						if err != nil {
							return err
						}
						defer func() { _ = tx.Rollback() }()
						if err := f(ob.(*sqliteoutbox.Outbox).In(tx)); err != nil {
							return err
						}
						return tx.Commit()
					},
					Kill: func(t testing.TB, ob outbox.Outbox) {
						_ = pools[ob].Close()
						ctx, cancel := context.WithCancel(context.Background())
						cancel()
						_, _ = ob.Stop(ctx) // releases the lock of the file
					},
				}
			})
		})
	}
}

// shopPools are the two kinds of pools that may be shared. Their timeouts are
// longer than documented, because the race detector makes SQLite ten times
// slower.
var shopPools = map[string]func(testing.TB, string) *sql.DB{
	"one connection": func(t testing.TB, path string) *sql.DB {
		db := openShop(t, "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(60000)")
		db.SetMaxOpenConns(1)
		return db
	},
	"immediate transactions": func(t testing.TB, path string) *sql.DB {
		return openShop(t, "file:"+path+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(60000)")
	},
}

func openShop(t testing.TB, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
