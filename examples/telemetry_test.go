package examples_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	_ "github.com/clickid/clickid/outbox_sqlite" // the driver "sqlite"
	"github.com/stretchr/testify/require"
)

// measuredShop is the shop of examples/telemetry with a platform.
type measuredShop struct {
	*shop
	platform *clickidtest.Server
	db       *sql.DB
	metrics  string // the address of the metrics
}

func startMeasured(t *testing.T) *measuredShop {
	t.Helper()
	s := &measuredShop{platform: clickidtest.NewServer(t), metrics: fmt.Sprint("127.0.0.1:", testserver.FreePort(t))}
	file := filepath.Join(t.TempDir(), "shop.db")
	s.shop = start(t, "telemetry -traces=stdout -metrics="+s.metrics,
		"CLICKID_API_KEY="+clickidtest.APIKey, "CLICKID_BASE_URL="+s.platform.URL,
		"CLICKID_ADVERTISER="+clickidtest.AdvertiserID, "SHOP_DB="+file)
	var err error
	s.db, err = sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.db.Close() })
	return s
}

// buy places an order and returns the verdict.
func (s *measuredShop) buy(t *testing.T, cookie string) string {
	t.Helper()
	return text(t, s.do(t, http.MethodPost, "/orders", cookie))
}

// scrape returns the metrics.
func (s *measuredShop) scrape(t *testing.T) string {
	t.Helper()
	resp, err := http.Get("http://" + s.metrics + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	return text(t, resp)
}

// await waits until the metrics have a line.
func (s *measuredShop) await(t *testing.T, line string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.scrape(t), line) }, patience, 50*time.Millisecond, line)
}

// live makes every kind of observation that a healthy shop and one with a broken
// store make.
func (s *measuredShop) live(t *testing.T) (cookie string) {
	t.Helper()
	cookie = s.land(t)
	s.do(t, http.MethodGet, "/?utm_source=scope3", "") // a lost click
	s.do(t, http.MethodGet, "/?clkid=", "")            // a refused one
	require.Equal(t, "Thank you! Conversion: skipped: organic\n", s.buy(t, ""))

	before := s.platform.Count()
	s.platform.Next(clickidtest.Fault{Processed: true, Body: `{"events_received":1,"warnings":["the page URL is missing"],"match_quality":0.8}`})
	require.Equal(t, "Thank you! Conversion: queued\n", s.buy(t, cookie))
	require.Eventually(t, func() bool { return s.platform.Count() > before }, patience, 10*time.Millisecond)
	s.platform.Next(clickidtest.Fault{Status: http.StatusBadRequest, Error: clickidtest.Error{Code: "VALIDATION_ERROR", Field: "/events/0/value"}})
	s.buy(t, cookie) // a dead letter
	s.await(t, `clickid_outbox_outcomes_total{clickid_event_type="purchase",clickid_outcome="dead letter"}`)

	_, err := s.db.Exec("ALTER TABLE clickid_clicks RENAME TO broken")
	require.NoError(t, err)
	s.do(t, http.MethodGet, "/?clkid="+clickID, "")
	_, err = s.db.Exec("ALTER TABLE broken RENAME TO clickid_clicks")
	require.NoError(t, err)
	return cookie
}

// TestTelemetry_metrics compares the metrics after a landing, orders and an
// outage with the table of the guide.
func TestTelemetry_metrics(t *testing.T) {
	t.Parallel()
	s := startMeasured(t)
	cookie := s.live(t)
	s.platform.Stop()
	require.Equal(t, "Thank you! Conversion: queued\n", s.buy(t, cookie))
	s.await(t, `clickid_outbox_events{clickid_outbox_name="orders",clickid_outbox_state="queued"} 1`)
	s.await(t, `clickid_client_attempt_duration_seconds_count{error_type="_OTHER"`)
	scraped := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (clickid_\w+) (\w+)$`).FindAllStringSubmatch(s.scrape(t), -1) {
		scraped[m[1]] = m[2]
	}

	guide, err := os.ReadFile("../docs/telemetry.md")
	require.NoError(t, err)
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(clickid[a-z._]+)` \\| `(clickid_\\w+)` \\| (\\w+)(, s )?").FindAllStringSubmatch(string(guide), -1) {
		documented[m[2]] = m[3]
		translated := strings.ReplaceAll(m[1], ".", "_")
		if m[4] != "" {
			translated += "_seconds"
		}
		if m[3] == "counter" {
			translated += "_total"
		}
		require.Equal(t, translated, m[2], "the names in the table")
	}
	require.Equal(t, documented, scraped)
	require.NotContains(t, s.scrape(t), clickID)
	s.stop(t)
}

// shortened replaces the times of rules and queries, since the test makes the
// observations of hours within seconds.
var shortened = strings.NewReplacer(
	"[$__rate_interval]", "[1m]", "[5m]", "[3s]", "[1h]", "[3s]", "offset 1h", "offset 3s",
	"for: 10m", "for: 0s", "for: 15m", "for: 0s", "for: 5m", "for: 0s", "> 3600", "> 0.5",
)

// TestTelemetry_prometheus has Prometheus scrape the shop. Every query of the
// dashboard returns data, and every alert fires when its cause occurs and not
// before.
func TestTelemetry_prometheus(t *testing.T) {
	t.Parallel()
	program := testserver.Program(t, "prometheus")
	dashboard, err := os.ReadFile("../docs/grafana/clickid.json")
	require.NoError(t, err)
	rules, err := os.ReadFile("../docs/prometheus/clickid.rules.yml")
	require.NoError(t, err)
	s := startMeasured(t)
	p := startPrometheus(t, program, s.metrics, shortened.Replace(string(rules)))

	s.land(t)
	p.await(t, "sum(clickid_capture_observations_total)")
	require.Empty(t, p.alerts(t), "nothing has happened yet")
	cookie := s.live(t)
	p.await(t, `clickid_outbox_events{clickid_outbox_state="dead_letter"} > 0`)
	s.live(t)
	s.do(t, http.MethodGet, "/?utm_source=scope3", "")
	lift := s.platform.Always(clickidtest.Fault{Status: http.StatusUnauthorized})
	require.Equal(t, "Thank you! Conversion: queued\n", s.buy(t, cookie))
	p.firing(t, "ClickidClicksLost", "ClickidConfigurationRefused", "ClickidDeadLetters", "ClickidEventsWait")
	lift()
	s.platform.Stop()
	require.Equal(t, "Thank you! Conversion: queued\n", s.buy(t, cookie))
	p.firing(t, "ClickidPlatformUnavailable", "ClickidStoreFails")

	for _, panel := range queries(t, dashboard) {
		_, err := p.query(panel.query)
		require.NoError(t, err, panel.title)
		p.await(t, panel.query)
	}
	s.stop(t)
}

// panelQuery is a query of a dashboard.
type panelQuery struct{ title, query string }

// queries returns the queries of a dashboard. It fails for panels without a
// query and for those that overlap.
func queries(t *testing.T, dashboard []byte) (all []panelQuery) {
	t.Helper()
	var d struct {
		Panels []struct {
			ID          int
			Type, Title string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(dashboard, &d))
	require.NotEmpty(t, d.Panels)
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, panel := range d.Panels {
		require.False(t, ids[panel.ID], "two panels have the ID %d", panel.ID)
		ids[panel.ID] = true
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				cell := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				require.Less(t, cell[0], 24, panel.Title)
				require.Empty(t, cells[cell], "%s is above another panel", panel.Title)
				cells[cell] = panel.Title
			}
		}
		if panel.Type == "row" {
			continue
		}
		require.NotEmpty(t, panel.Targets, panel.Title)
		for _, target := range panel.Targets {
			all = append(all, panelQuery{panel.Title, shortened.Replace(target.Expr)})
		}
	}
	return all
}

// prometheusServer is a private Prometheus.
type prometheusServer struct{ url string }

func startPrometheus(t *testing.T, program, target, rules string) *prometheusServer {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	write("clickid.rules.yml", rules)
	write("prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
rule_files: [clickid.rules.yml]
scrape_configs: [{job_name: shop, static_configs: [{targets: [%q]}]}]
`, target))
	addr := fmt.Sprint("127.0.0.1:", testserver.FreePort(t))
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // Prometheus itself takes a while to stop
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Prometheus printed:\n%s", output.String())
		}
	})
	p := &prometheusServer{"http://" + addr}
	require.Eventually(t, func() bool { _, err := p.query("vector(1)"); return err == nil }, patience, 50*time.Millisecond, "Prometheus responds")
	return p
}

// get decodes the data of a response of the API.
func (p *prometheusServer) get(path string, data any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	response := struct {
		Error string
		Data  any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&response); err != nil {
		return err
	}
	if response.Error != "" {
		return fmt.Errorf("%s", response.Error)
	}
	return nil
}

// query returns the values of a query that are numbers.
func (p *prometheusServer) query(expr string) (values []string, err error) {
	var data struct {
		Result []struct{ Value [2]any }
	}
	err = p.get("query?query="+url.QueryEscape(expr), &data)
	for _, r := range data.Result {
		if v := fmt.Sprint(r.Value[1]); v != "NaN" {
			values = append(values, v)
		}
	}
	return values, err
}

// await waits until a query returns a number.
func (p *prometheusServer) await(t *testing.T, expr string) {
	t.Helper()
	require.Eventually(t, func() bool {
		values, err := p.query(expr)
		return err == nil && len(values) > 0
	}, patience, 100*time.Millisecond, expr)
}

// alerts returns the names of the alerts that fire.
func (p *prometheusServer) alerts(t *testing.T) []string {
	t.Helper()
	var data struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	require.NoError(t, p.get("alerts", &data))
	names := map[string]bool{}
	for _, alert := range data.Alerts {
		if alert.State == "firing" {
			names[alert.Labels["alertname"]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// firing waits until each of the alerts has fired.
func (p *prometheusServer) firing(t *testing.T, names ...string) {
	t.Helper()
	missing := slices.Clone(names)
	require.Eventually(t, func() bool {
		now := p.alerts(t)
		missing = slices.DeleteFunc(missing, func(name string) bool { return slices.Contains(now, name) })
		return len(missing) == 0
	}, patience, 50*time.Millisecond, "alerts that do not fire")
}
