package examples_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	_ "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
)

// databaseShops are the shops that store an order and its conversion in one
// transaction of a database.
var databaseShops = []struct {
	name, driver, variable string
	database               func(testing.TB) string
	refuse                 []string // make the database refuse every conversion
	allow                  string
}{
	{
		"postgresql", "pgx", "DATABASE_URL", testserver.Postgres,
		[]string{
			"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$",
			"CREATE TRIGGER refuse BEFORE INSERT ON clickid.river_job FOR EACH ROW EXECUTE FUNCTION refuse()",
		},
		"DROP TRIGGER refuse ON clickid.river_job",
	},
	{
		"mariadb", "mysql", "MARIADB_DSN", testserver.MySQL,
		[]string{"CREATE TRIGGER refuse BEFORE INSERT ON clickid_outbox FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'on purpose'"},
		"DROP TRIGGER refuse",
	},
}

// TestDatabases orders before, during and after an outage of the platform, over
// a restart of the shop.
func TestDatabases(t *testing.T) {
	for _, tt := range databaseShops {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			database := tt.database(t)
			platform := clickidtest.NewServer(t)
			env := []string{
				tt.variable + "=" + database, "OUTBOX_FILE=" + filepath.Join(t.TempDir(), "outbox.db"),
				"CLICKID_API_KEY=" + clickidtest.APIKey, "CLICKID_BASE_URL=" + platform.URL,
			}
			shop := start(t, tt.name, env...)
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			defer cancel()

			cookie := shop.land(t)
			require.Equal(t, "Thank you! Your order: order-1001. Conversion: queued\n", text(t, shop.do(t, http.MethodPost, "/orders", cookie)))
			_, err := platform.Wait(ctx, 1)
			require.NoError(t, err)
			require.Equal(t, "Thank you! Your order: order-1002. Conversion: skipped: organic\n", text(t, shop.do(t, http.MethodPost, "/orders", "")))

			restore := platform.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})
			require.Equal(t, "Thank you! Your order: order-1003. Conversion: queued\n", text(t, shop.do(t, http.MethodPost, "/orders", cookie)))
			shop.stop(t)

			restore()
			shop = start(t, tt.name, env...)
			events, err := platform.Wait(ctx, 2)
			require.NoError(t, err)
			for i, id := range []string{"order-1001", "order-1003"} {
				require.Equal(t, id, events[i].ID)
				require.Equal(t, "purchase", events[i].Type)
				require.Equal(t, clickID, events[i].ClickID)
				require.Equal(t, "149.99 USD", events[i].Value+" "+events[i].Currency)
				require.Equal(t, 1, events[i].Received)
			}
			require.Len(t, events, 2)
			shop.stop(t)
		})
	}
}

// TestDatabases_oneTransaction makes the conversion's part of the transaction
// fail.
func TestDatabases_oneTransaction(t *testing.T) {
	for _, tt := range databaseShops {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			database := tt.database(t)
			platform := clickidtest.NewServer(t)
			shop := start(t, tt.name, tt.variable+"="+database, "CLICKID_API_KEY="+clickidtest.APIKey, "CLICKID_BASE_URL="+platform.URL)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			db, err := sql.Open(tt.driver, database)
			require.NoError(t, err)
			t.Cleanup(func() { _ = db.Close() })
			orders := func() (n int) {
				require.NoError(t, db.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&n))
				return n
			}

			cookie := shop.land(t)
			for _, statement := range tt.refuse {
				_, err = db.ExecContext(ctx, statement)
				require.NoError(t, err)
			}
			require.Equal(t, http.StatusInternalServerError, shop.do(t, http.MethodPost, "/orders", cookie).StatusCode)
			require.Zero(t, orders())
			_, err = db.ExecContext(ctx, tt.allow)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, shop.do(t, http.MethodPost, "/orders", cookie).StatusCode)
			require.Equal(t, 1, orders())
			events, err := platform.Wait(ctx, 1)
			require.NoError(t, err)
			require.Equal(t, "order-1002", events[0].ID, "the first order was rolled back")
			shop.stop(t)
		})
	}
}

// TestDatabases_shutdown stops each shop while a conversion waits for the
// platform's response.
func TestDatabases_shutdown(t *testing.T) {
	for _, tt := range databaseShops {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			arrived, release := make(chan struct{}), make(chan struct{})
			receiver := clickidtest.New(clickidtest.Config{})
			platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				<-release
				receiver.ServeHTTP(w, r)
			}))
			t.Cleanup(platform.Close)
			shop := start(t, tt.name, tt.variable+"="+tt.database(t), "CLICKID_API_KEY="+clickidtest.APIKey, "CLICKID_BASE_URL="+platform.URL)

			require.Equal(t, http.StatusOK, shop.do(t, http.MethodPost, "/orders", shop.land(t)).StatusCode)
			<-arrived
			require.NoError(t, shop.cmd.Process.Signal(syscall.SIGTERM))
			shop.refuses(t)
			close(release)
			shop.end(t)
			require.Contains(t, shop.output.String(), "conversions that wait for the next start: 0\n")
			require.Len(t, receiver.Accepted(), 1)
		})
	}
}
