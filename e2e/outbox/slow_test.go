package outbox_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/e2e/internal/slow"
	"github.com/clickid/clickid/outbox"
)

// TestTable_slowDatabase has a database that is slow, or whose outbox table is
// locked, for longer and for shorter than the shop waits. It is not parallel, since it
// counts goroutines.
func TestTable_slowDatabase(t *testing.T) {
	onEachLink(t, func(t *testing.T, s linkedShop) {
		s.direct.SetMaxIdleConns(-1) // a driver may have a goroutine for each
		slow.Test(t, slow.Shop{
			Platform: s.platform, Link: s.link, Commit: s.commit,
			Lock: func() (free func()) {
				session, err := s.direct.Conn(context.Background())
				require.NoError(t, err)
				execute := func(statement string) {
					_, err := session.ExecContext(context.Background(), statement)
					require.NoError(t, err)
				}
				if s.kind == outbox.DatabasePostgreSQL {
					execute("BEGIN; LOCK TABLE clickid_outbox IN ACCESS EXCLUSIVE MODE")
				} else {
					execute("LOCK TABLES clickid_outbox WRITE")
				}
				return func() {
					execute(map[outbox.Database]string{outbox.DatabasePostgreSQL: "ROLLBACK", outbox.DatabaseMySQL: "UNLOCK TABLES"}[s.kind])
					require.NoError(t, session.Close())
				}
			},
			Open: func() outbox.Outbox {
				s.stop()
				s.open(t)
				return s.table
			},
			Order: func(ctx context.Context, id string) error {
				tx, err := s.db.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer func() { _ = tx.Rollback() }()
				if _, err := tx.ExecContext(ctx, s.insert, id); err != nil {
					return err
				}
				if _, err := clickid.Convert(ctx, s.table.In(tx), crash.Conversion(id)); err != nil {
					return err
				}
				return tx.Commit()
			},
			Orders: func() (n int) {
				require.NoError(t, s.direct.QueryRow("SELECT COUNT(*) FROM orders").Scan(&n))
				return n
			},
			Close: func() {
				s.stop()
				s.db.SetMaxIdleConns(-1)
			},
		})
	})
}
