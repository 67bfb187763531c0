package browser

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// TestRedirects follows every row of the guide's table in the browser. The
// tracker is around all hosts of a row.
func TestRedirects(t *testing.T) {
	t.Parallel()
	var handler atomic.Pointer[http.Handler]
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(w, r) })
	certificate, spki := newCertificate(t, shopHost, wwwHost)
	secure := httptest.NewUnstartedServer(serve)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(serve)
	t.Cleanup(plain.Close)
	b := startBrowser(t, secure.Listener.Addr().String(), spki, "MAP *.test:80 "+plain.Listener.Addr().String())

	rows := redirectRows(t)
	require.Greater(t, len(rows), 20)
	for _, row := range rows {
		t.Run(strings.Join(row[:3], " "), func(t *testing.T) {
			var (
				mu    sync.Mutex
				risks []clickid.Reason
			)
			tracker, err := clickid.New(row.config(t, func(_ context.Context, o clickid.Observation) {
				mu.Lock()
				defer mu.Unlock()
				if o.Kind == clickid.KindClickAtRisk {
					risks = append(risks, o.Reason)
				}
			}))
			if row.click() == "`New` returns an error" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			h := tracker.Handler(row.site())
			handler.Store(&h)
			b := &browser{t: t, ctx: b.ctx}
			b.forgetCookies()
			b.open(row.chain()[0]+"/0?clkid="+clickID, "landing")
			b.click("#order", "order")
			found := b.text("main")
			mu.Lock()
			defer mu.Unlock()
			if row.click() == "kept" {
				require.Equal(t, clickID, found)
				require.Empty(t, risks)
				return
			}
			require.Empty(t, found, "the table promises less than the tracker does")
			require.Len(t, risks, 1)
			require.Equal(t, row.click(), risk(t, risks[0]))
		})
	}
}

// risk returns the guide's words for a reason.
func risk(t *testing.T, reason clickid.Reason) string {
	t.Helper()
	switch reason {
	case clickid.ReasonRedirect:
		return "at risk: redirect"
	case clickid.ReasonStripped:
		return "at risk: stripped"
	case clickid.ReasonDomain:
		return "at risk: domain"
	}
	t.Fatalf("the guide has no words for %q", reason)
	return ""
}

// redirectRow is a row of the table: redirects, query, configuration, click.
type redirectRow [4]string

// redirectRows reads the table from the guide, with the hosts of the tests.
func redirectRows(t *testing.T) (rows []redirectRow) {
	t.Helper()
	guide, err := os.ReadFile("../../docs/browsers-and-cdn.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(guide), "| redirects | query | configuration | the click |\n| --- | --- | --- | --- |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(strings.ReplaceAll(table, "example.com", shopHost)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		require.Len(t, cells, 4, line)
		row := redirectRow{}
		for i, cell := range cells {
			row[i] = strings.TrimSpace(cell)
		}
		rows = append(rows, row)
	}
	return rows
}

func (row redirectRow) chain() []string { return strings.Split(strings.Trim(row[0], "`"), " → ") }

func (row redirectRow) click() string { return row[3] }

// config returns the tracker's configuration. The cell names the fields, and
// the values of those that are not booleans.
func (row redirectRow) config(t *testing.T, hook func(context.Context, clickid.Observation)) clickid.Config {
	t.Helper()
	store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	cfg := clickid.Config{Store: store, Hook: hook}
	for _, field := range strings.Split(row[2], ", ") {
		name, value, _ := strings.Cut(strings.Trim(field, "`"), " = ")
		switch name {
		case "":
		case "StripParam":
			cfg.StripParam = true
		case "Insecure":
			cfg.Cookie.Insecure = true
		case "Domain":
			cfg.Cookie.Domain = value
		case "Hosts":
			cfg.Hosts = []string{value}
		default:
			t.Fatalf("unknown field %q", name)
		}
	}
	return cfg
}

// site serves all hosts of the row. The path of a page is its place in the
// chain.
func (row redirectRow) site() http.Handler {
	mux := http.NewServeMux()
	chain := row.chain()
	for i, target := range chain[1:] {
		target += "/" + string(rune('1'+i))
		mux.HandleFunc("GET /"+string(rune('0'+i)), func(w http.ResponseWriter, r *http.Request) {
			if row[1] == "kept" && r.URL.RawQuery != "" {
				target += "?" + r.URL.RawQuery
			}
			http.Redirect(w, r, target, http.StatusFound)
		})
	}
	mux.HandleFunc("GET /"+string(rune('0'+len(chain)-1)), htmlPage("landing", `<a id="order" href="/order" referrerpolicy="no-referrer">order</a>`))
	mux.HandleFunc("GET /order", func(w http.ResponseWriter, r *http.Request) {
		c, _ := clickid.FromContext(r.Context())
		writePage(w, "order", c.ID)
	})
	return mux
}
