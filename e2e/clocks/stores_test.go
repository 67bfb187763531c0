package clocks

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // for testserver

	"github.com/clickid/clickid/internal/testserver"
)

// storeShop is a shop with a store of clicks.
type storeShop struct {
	*shop
	t   *testing.T
	url string
}

// get requests a page and returns its text and the cookie of the response, if there
// is one, or else the one that was sent. The text of a missing click is empty.
func (s *storeShop) get(path, cookie string) (text, kept string) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
		s.t.Fatalf("the page has status %d: %s, %v", resp.StatusCode, body, err)
	}
	for _, set := range resp.Cookies() {
		cookie = set.Name + "=" + set.Value
	}
	return strings.TrimSpace(string(body)), cookie
}

// TestStores runs shops on one store, whose clocks are an hour behind, right, and an
// hour ahead. The store's server has the right one.
func TestStores(t *testing.T) {
	t.Parallel()
	program := build(t, "clockstore")
	for store, dsn := range map[string]func(t *testing.T) string{
		"redis":      func(t *testing.T) string { return testserver.StartRedis(t).DSN() },
		"postgresql": func(t *testing.T) string { return testserver.Postgres(t) },
		"mysql":      func(t *testing.T) string { return testserver.MySQL(t) },
		"sqlite":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "clicks.db") },
	} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			dsn := dsn(t)
			open := func(clock, ttl time.Duration) *storeShop {
				t.Helper()
				s := start(t, program, clock, "-store", store, "-dsn", dsn, "-ttl", ttl.String())
				return &storeShop{s, t, s.next()}
			}
			equal := func(got, want, what string) {
				t.Helper()
				if got != want {
					t.Errorf("%s: got the click %q, want %q", what, got, want)
				}
			}
			const month, clock = 30 * 24 * time.Hour, time.Hour
			behind, right, ahead := open(-clock, month), open(0, month), open(clock, month)
			shops := []*storeShop{behind, right, ahead}
			for i, landing := range shops {
				for j, order := range shops {
					pair := fmt.Sprintf("from-%d-to-%d", i, j)
					_, cookie := landing.get("/?clkid="+pair, "")
					landing.get("/link?order="+pair, cookie)
					for _, s := range shops {
						s.get("/purge", "")
					}
					found, _ := order.get("/", cookie)
					equal(found, pair, pair)
					found, _ = order.get("/linked?order="+pair, "")
					equal(found, pair, pair+", by the order")
					// A link to the other shop's click.
					order.get("/link?order=second-"+pair, cookie)
					found, _ = landing.get("/linked?order=second-"+pair, "")
					equal(found, pair, pair+", by an order of the other shop")
					// A later click replaces the one of the wrong clock.
					_, cookie = order.get("/?clkid=later-"+pair, cookie)
					found, _ = landing.get("/", cookie)
					equal(found, "later-"+pair, pair+", a later click")
				}
			}

			// A click with half of the time between the clocks.
			short := open(0, clock/2)
			_, cookie := short.get("/?clkid=short", "")
			short.get("/link?order=short", cookie)
			found, _ := ahead.get("/", cookie)
			equal(found, "", "the clock that is ahead, of a click that it takes for expired")
			if store != "sqlite" { // which is on one machine
				ahead.get("/purge", "")
			}
			behind.get("/purge", "")
			found, _ = short.get("/", cookie)
			equal(found, "short", "after the purge")
			found, _ = short.get("/linked?order=short", "")
			equal(found, "short", "after the purge, by the order")
			found, _ = behind.get("/", cookie)
			equal(found, "short", "the clock that is behind")

			// By the other clocks, the clicks of this one have expired.
			late := open(-clock, clock/2)
			_, cookie = late.get("/?clkid=late", "")
			late.get("/purge", "") // for the server the click has expired
			found, _ = late.get("/", cookie)
			equal(found, "late", "its own click")
			found, _ = right.get("/", cookie)
			equal(found, "", "a click that has expired by the right clock")
			right.get("/purge", "")
			if found, _ = late.get("/", cookie); store != "redis" {
				equal(found, "", "after the purge")
			}
		})
	}
}
