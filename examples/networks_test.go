package examples_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/examples/networks/acme/acmetest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox/outboxtest"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // for testserver.Postgres
	"github.com/stretchr/testify/require"
)

const acmeClickID = "acme-click-7Qd2"

// networksShop is a running shop with two ad networks.
type networksShop struct {
	*shop
	t *testing.T
}

// visit lands and returns the cookies.
func (s networksShop) visit(query string) string {
	s.t.Helper()
	landing := s.do(s.t, http.MethodGet, "/?"+query, "")
	require.Equal(s.t, http.StatusOK, landing.StatusCode)
	var cookies []string
	for _, c := range landing.Cookies() {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	return strings.Join(cookies, "; ")
}

// order places an order. It returns the number and the verdicts.
func (s networksShop) order(cookies string) (number, verdicts string) {
	s.t.Helper()
	resp := s.do(s.t, http.MethodPost, "/orders", cookies)
	body := text(s.t, resp)
	require.Equal(s.t, http.StatusOK, resp.StatusCode, body)
	number, verdicts, _ = strings.Cut(body, "\n")
	return number, verdicts
}

// admin sends a request of an operator and returns the body.
func (s networksShop) admin(method, path string) string {
	s.t.Helper()
	r, err := http.NewRequest(method, s.url+path, nil)
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer admin")
	resp := send(s.t, r)
	body := text(s.t, resp)
	require.Equal(s.t, http.StatusOK, resp.StatusCode, body)
	return body
}

// acme returns what waits for Acme and its dead letters.
func (s networksShop) acme() (queued int, dead map[string]string) {
	s.t.Helper()
	var reports map[string]struct {
		Queued      int
		DeadLetters map[string]string
	}
	require.NoError(s.t, json.Unmarshal([]byte(s.admin(http.MethodGet, "/admin/outboxes")), &reports))
	return reports["acme"].Queued, reports["acme"].DeadLetters
}

// newNetworksShop starts a shop on a database and two platforms.
func newNetworksShop(t *testing.T, database string, scope3 *clickidtest.Server, acme *acmetest.Server) networksShop {
	t.Helper()
	return networksShop{start(t, "networks",
		"DATABASE_URL="+database, "ADMIN_TOKEN=admin",
		"CLICKID_API_KEY="+clickidtest.APIKey, "CLICKID_BASE_URL="+scope3.URL,
		"ACME_API_KEY="+acmetest.APIKey, "ACME_ACCOUNT="+acmetest.Account, "ACME_BASE_URL="+acme.URL,
	), t}
}

// TestNetworks orders with the clicks of two networks while one platform is
// unavailable.
func TestNetworks(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	scope3, acme := clickidtest.NewServer(t), acmetest.NewServer()
	t.Cleanup(acme.Close)
	s := newNetworksShop(t, database, scope3, acme)
	within, cancel := context.WithTimeout(context.Background(), 10*patience)
	t.Cleanup(cancel)
	eventually := func(what string, condition func() bool) {
		t.Helper()
		require.Eventually(t, condition, 4*patience, 20*time.Millisecond, what)
	}

	// Two clicks, one order, two conversions: Acme's waits over a restart.
	acme.Behave(outboxtest.Behaviour{Kind: outboxtest.BehaviourUnavailable})
	both := s.visit("clkid=" + clickID + "&acmeclid=" + acmeClickID)
	require.Contains(t, both, "__Host-clkid=")
	require.Contains(t, both, "__Host-acmeclid=")
	first, verdicts := s.order(both)
	require.Equal(t, "scope3: queued\nacme: queued\n", verdicts)
	events, err := scope3.Wait(within, 1)
	require.NoError(t, err)
	require.Equal(t, first, events[0].ID)
	require.Equal(t, clickID, events[0].ClickID)
	eventually("Acme is tried", func() bool { return acme.Requests() > 0 })
	s.stop(t)
	require.Empty(t, acme.Accepted())
	s = newNetworksShop(t, database, scope3, acme)
	queued, _ := s.acme()
	require.Equal(t, 1, queued)

	// Each network has only its own clicks.
	onlyScope3, verdicts := s.order(s.visit("clkid=" + clickID))
	require.Equal(t, "scope3: queued\nacme: skipped: organic\n", verdicts)
	onlyAcme, verdicts := s.order(s.visit("acmeclid=" + acmeClickID))
	require.Equal(t, "scope3: skipped: organic\nacme: queued\n", verdicts)
	_, verdicts = s.order("")
	require.Equal(t, "scope3: skipped: organic\nacme: skipped: organic\n", verdicts)

	// An order that is erased while Acme is unavailable never arrives there.
	erased, _ := s.order(both)
	_, err = scope3.Wait(within, 3)
	require.NoError(t, err)
	require.Contains(t, s.admin(http.MethodDelete, "/admin/orders/"+erased), "acme: 1\n")
	forged, err := http.NewRequest(http.MethodDelete, s.url+"/admin/orders/"+first, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, send(t, forged).StatusCode)

	// A conversion that was being sent during the erasure has arrived by the next
	// request.
	requests := acme.Requests()
	eventually("Acme is tried again", func() bool { return acme.Requests() > requests })
	acme.Behave(outboxtest.Behaviour{})
	eventually("Acme gets what waits", func() bool { return len(acme.Accepted()) == 2 })
	for _, c := range acme.Accepted() {
		require.Contains(t, []string{first, onlyAcme}, c.ID)
		require.Equal(t, acmetest.Conversion{ID: c.ID, Name: "sale", Click: acmeClickID, Value: "149.99", Currency: "USD"}, c)
	}

	// A conversion that Acme refuses is a dead letter until it is replayed.
	acme.Behave(outboxtest.Behaviour{Kind: outboxtest.BehaviourRefusesEvents, IDs: []string{acmeClickID}})
	refused, _ := s.order(both)
	var dead map[string]string
	eventually("there is a dead letter", func() bool {
		_, dead = s.acme()
		return len(dead) == 1
	})
	require.Equal(t, map[string]string{refused: "Acme refuses it: click_unknown"}, dead)
	acme.Behave(outboxtest.Behaviour{})
	require.Contains(t, s.admin(http.MethodPost, "/admin/replay"), "acme: 1\n")
	eventually("Acme accepts it", func() bool { return len(acme.Accepted()) == 3 })

	events, err = scope3.Wait(within, 4)
	require.NoError(t, err)
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
		require.Equal(t, clickID, e.ClickID)
		require.Equal(t, 1, e.Received, "in spite of Acme's outage")
	}
	require.ElementsMatch(t, []string{first, onlyScope3, erased, refused}, ids)
	s.stop(t)
}

// TestNetworks_oneTransaction makes the second outbox's part fail.
func TestNetworks_oneTransaction(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	scope3, acme := clickidtest.NewServer(t), acmetest.NewServer()
	t.Cleanup(acme.Close)
	s := newNetworksShop(t, database, scope3, acme)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	pool, err := pgxpool.New(ctx, database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	exec := func(sql string) {
		t.Helper()
		_, err := pool.Exec(ctx, sql)
		require.NoError(t, err)
	}

	both := s.visit("clkid=" + clickID + "&acmeclid=" + acmeClickID)
	exec(`CREATE FUNCTION refuse_second() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT FROM clickid.river_job) THEN RAISE EXCEPTION 'on purpose'; END IF;
		RETURN NEW;
	END $$`)
	exec("CREATE TRIGGER refuse_second BEFORE INSERT ON clickid.river_job FOR EACH ROW EXECUTE FUNCTION refuse_second()")
	resp := s.do(t, http.MethodPost, "/orders", both)
	require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
	for _, table := range []string{"orders", "clickid.river_job"} {
		var count int
		require.NoError(t, pool.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&count))
		require.Zero(t, count, table)
	}
	exec("DROP TRIGGER refuse_second ON clickid.river_job")
	number, _ := s.order(both)
	events, err := scope3.Wait(ctx, 1)
	require.NoError(t, err)
	require.Equal(t, number, events[0].ID, "the first order was rolled back for both")
	s.stop(t)
}
