package sqlstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/outagetest"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// countStatements counts the statements that the store sends.
type countStatements struct {
	sqlstore.DB
	n atomic.Int64
}

func (c *countStatements) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	c.n.Add(1)
	return c.DB.ExecContext(ctx, query, args...)
}

func (c *countStatements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	c.n.Add(1)
	return c.DB.QueryContext(ctx, query, args...)
}

// TestStore_linksOnly keeps clicks in the visitor's cookie and links in SQL.
func TestStore_linksOnly(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		dsn := d.create(t)
		tables := d.migrated(t, d.open(t, dsn), sqlstore.DefaultPrefix)
		db, connector := d.openCounted(t, dsn)
		statements := &countStatements{DB: db}
		links := d.through(t, statements, tables.prefix)

		cookies, err := clickid.NewCookieStore(bytes.Repeat([]byte("k"), 32))
		require.NoError(t, err)
		s := outagetest.NewShop(t, clickid.Config{Store: cookies, Linker: links, StoreTimeout: time.Minute})

		// Landings that replace no click, and pages, send no statement and open
		// no connection.
		for range 100 {
			visitor := s.Get(t, "/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV").Cookies()
			require.Len(t, visitor, 1)
			for _, path := range []string{"/", "/cart", "/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV"} {
				require.NotEmpty(t, outagetest.ClickOf(s.Get(t, path, visitor...)))
			}
			require.True(t, outagetest.IsAbsent(s.Get(t, "/")))
			forged := &http.Cookie{Name: visitor[0].Name, Value: "forged"}
			require.True(t, outagetest.IsAbsent(s.Get(t, "/", forged)))
		}
		require.Zero(t, statements.n.Load())
		require.Zero(t, connector.connects.Load())

		// Linking is two statements: one reads the link that it replaces. Finding
		// the order is one, and another asks whether the token was revoked.
		visitor := s.Get(t, "/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV").Cookies()
		session, order := clickid.SessionKey("s3ss10n"), clickid.OrderKey("42")
		ctx := s.Visit(visitor)
		require.NoError(t, s.Tracker.Link(ctx, order))
		require.EqualValues(t, 2, statements.n.Load())
		require.NoError(t, s.Tracker.Link(ctx, session))
		c, err := s.Tracker.Linked(context.Background(), order)
		require.NoError(t, err)
		require.Equal(t, "01ARZ3NDEKTSV4RRFFQ69G5FAV", c.ID)
		require.EqualValues(t, 6, statements.n.Load())

		// The tables do not contain the token.
		require.NotContains(t, string(dump(t, tables)), visitor[0].Value)
		require.Zero(t, tables.count(t, "clicks"))

		// Withdrawn consent deletes the links of the cookie's token, and denies it.
		r := httptest.NewRequest(http.MethodPost, "https://shop.test/consent", nil)
		r.AddCookie(visitor[0])
		w := httptest.NewRecorder()
		require.NoError(t, s.Tracker.Forget(w, s.Tracker.Capture(w, r)))
		for _, k := range []clickid.Key{session, order} {
			_, err = s.Tracker.Linked(context.Background(), k)
			require.ErrorIs(t, err, clickid.ErrNotFound)
		}
		require.EqualValues(t, 1, tables.count(t, "links"), "the token is denied until it expires")
		require.Empty(t, s.Failures())
	})
}
