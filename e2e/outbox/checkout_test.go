package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/outbox"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// outside counts the statements of a store that are not in a transaction.
type outside struct {
	sqlstore.DB
	n atomic.Int64
}

func (o *outside) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	o.n.Add(1)
	return o.DB.ExecContext(ctx, query, args...)
}

func (o *outside) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	o.n.Add(1)
	return o.DB.QueryContext(ctx, query, args...)
}

// TestCheckout_oneConnection takes the steps of the guide to webhooks: the order,
// its link and its conversion in one transaction. There are more checkouts at
// once than connections, so that a second connection would not be free.
func TestCheckout_oneConnection(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		const checkouts, orders = 32, 10
		ctx := context.Background()
		db := d.open(t)
		if d.kind == outbox.DatabaseSQLite {
			db.SetMaxOpenConns(1)
		}
		statements := &outside{DB: db}
		store, err := sqlstore.New(sqlstore.Config{DB: statements, Database: sqlstore.Database(d.kind)})
		require.NoError(t, err)
		require.NoError(t, store.Migrate(ctx, db))
		var storeErrors atomic.Int64
		tracker, err := clickid.New(clickid.Config{Store: store, StoreTimeout: patience, Hook: func(_ context.Context, o clickid.Observation) {
			if o.Kind == clickid.KindStoreError {
				storeErrors.Add(1)
			}
		}})
		require.NoError(t, err)
		client, err := capi.New(capi.Config{
			APIKey: "scope3_test", BaseURL: "http://127.0.0.1:1", Dialect: capi.LogEvent{EventSourceID: "shop"}, Resolver: tracker,
		})
		require.NoError(t, err)
		table := d.tableOf(t, db, client)
		_, err = db.Exec("CREATE TABLE orders (id varchar(64) PRIMARY KEY)")
		require.NoError(t, err)

		checkout := func(r *http.Request) error {
			tx, err := db.BeginTx(r.Context(), nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			id := r.URL.Query().Get("order")
			if _, err := tx.ExecContext(r.Context(), "INSERT INTO orders (id) VALUES ('"+id+"')"); err != nil {
				return err
			}
			if err := tracker.LinkIn(r.Context(), store.In(tx), clickid.OrderKey(id)); err != nil {
				return err
			}
			e := newEvent(id)
			e.Click = clickid.Click{}
			if result, err := clickid.Convert(r.Context(), table.In(tx), e); err != nil || result.Verdict != clickid.VerdictQueued {
				return fmt.Errorf("%v: %w", result.Verdict, err)
			}
			return tx.Commit()
		}
		shop := tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				if err := checkout(r); err != nil {
					http.Error(w, err.Error(), http.StatusInternalServerError)
				}
			}
		}))
		var visitors []*http.Cookie
		for range checkouts {
			w := httptest.NewRecorder()
			shop.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?clkid=abc", nil))
			require.Len(t, w.Result().Cookies(), 1)
			visitors = append(visitors, w.Result().Cookies()[0])
		}
		landings := statements.n.Load()

		var group sync.WaitGroup
		for i, visitor := range visitors {
			group.Go(func() {
				for n := range orders {
					r := httptest.NewRequest(http.MethodPost, fmt.Sprintf("/checkout?order=%d-%d", i, n), nil)
					r.AddCookie(visitor)
					w := httptest.NewRecorder()
					if shop.ServeHTTP(w, r); w.Code != http.StatusOK {
						t.Errorf("order %d of checkout %d: %s", n, i, w.Body)
					}
				}
			})
		}
		group.Wait()
		require.Equal(t, landings, statements.n.Load(), "the store takes no connection beside the transaction's")
		require.Zero(t, storeErrors.Load())
		require.Equal(t, checkouts*orders, count(t, table, db))
		click, err := tracker.Linked(ctx, clickid.OrderKey("31-9"))
		require.NoError(t, err)
		require.Equal(t, "abc", click.ID)
	})
}
