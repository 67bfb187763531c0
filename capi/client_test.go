package capi_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

func TestNew_problems(t *testing.T) {
	t.Parallel()
	_, err := capi.New(capi.Config{
		APIKey:        "sk_live_1",
		Dialect:       capi.LogEvent{TestEventCode: strings.Repeat("x", 257)},
		BaseURL:       "http://user:password@example.com",
		Timeout:       -time.Second,
		Retry:         capi.Retry{Attempts: -1, BaseDelay: time.Minute, MaxDelay: time.Second},
		RateLimit:     capi.RateLimit{Requests: 1, Per: -1},
		Concurrency:   -1,
		MaxBatchBytes: 1,
	})
	require.Error(t, err)
	for _, problem := range []string{
		"APIKey must begin with", "EventSourceID is required", "TestEventCode must not be longer", "BaseURL must use https",
		"Timeout", "Retry.Attempts", "Retry.MaxDelay", "RateLimit.Per", "Concurrency", "MaxBatchBytes",
	} {
		require.ErrorContains(t, err, problem)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 10)
	require.NotContains(t, err.Error(), "password")
	require.NotContains(t, err.Error(), "sk_live")
}

func TestNew_checks(t *testing.T) {
	t.Parallel()
	valid := capi.Config{APIKey: testKey, Dialect: ecapi}
	tests := map[string]struct {
		edit    func(*capi.Config)
		problem string // "" if the configuration is valid
	}{
		"the smallest configuration":       {func(*capi.Config) {}, ""},
		"no key":                           {func(c *capi.Config) { c.APIKey = "" }, "APIKey is required"},
		"only the prefix of a key":         {func(c *capi.Config) { c.APIKey = "scope3_" }, "must begin"},
		"a key with a line break":          {func(c *capi.Config) { c.APIKey = "scope3_x\n" }, "line break"},
		"another platform's key at Scope3": {func(c *capi.Config) { c.APIKey = "other" }, "must begin"},
		"another platform's key at that platform": {func(c *capi.Config) {
			c.APIKey, c.BaseURL = "other", "https://events.example.com"
		}, ""},
		"no dialect":                {func(c *capi.Config) { c.Dialect = nil }, "Dialect is required"},
		"a nil pointer as dialect":  {func(c *capi.Config) { c.Dialect = (*capi.LogEvent)(nil) }, "Dialect is required"},
		"a pointer as dialect":      {func(c *capi.Config) { c.Dialect = &capi.LogEvent{EventSourceID: "shop"} }, ""},
		"no data set":               {func(c *capi.Config) { c.Dialect = capi.ECAPI{} }, "DataSetID is required"},
		"a data set with a space":   {func(c *capi.Config) { c.Dialect = capi.ECAPI{DataSetID: "ds "} }, "DataSetID"},
		"an unknown currency field": {func(c *capi.Config) { c.Dialect = capi.ECAPI{DataSetID: "ds", Currency: 9} }, "Currency"},
		"a path with a query": {func(c *capi.Config) {
			c.Dialect = capi.ECAPI{DataSetID: "ds", Path: "/x?y"}
		}, "Path"},
		"a path with ..": {func(c *capi.Config) {
			c.Dialect = capi.ECAPI{DataSetID: "ds", Path: "/x/../y"}
		}, "Path"},
		"an advertiser with a slash": {func(c *capi.Config) {
			c.Dialect = capi.LogEvent{EventSourceID: "shop", AdvertiserID: "a/b"}
		}, "AdvertiserID"},
		"Interchange in staging": {func(c *capi.Config) {
			c.Environment, c.Dialect = capi.EnvironmentStaging, capi.LogEvent{EventSourceID: "shop", AdvertiserID: "a"}
		}, ""},
		"Interchange under a base URL": {func(c *capi.Config) {
			c.BaseURL, c.Dialect = "https://x.test", capi.LogEvent{EventSourceID: "shop", AdvertiserID: "a"}
		}, ""},
		"an unknown environment": {func(c *capi.Config) { c.Environment = 7 }, "Environment"},
		"plain http":             {func(c *capi.Config) { c.BaseURL = "http://example.com" }, "https"},
		"http at a name with loopback as prefix": {func(c *capi.Config) {
			c.BaseURL = "http://localhost.example.com"
		}, "https"},
		"http on localhost":          {func(c *capi.Config) { c.BaseURL = "http://localhost:8080" }, ""},
		"http on 127.0.0.1":          {func(c *capi.Config) { c.BaseURL = "http://127.0.0.1:1" }, ""},
		"http on ::1":                {func(c *capi.Config) { c.BaseURL = "http://[::1]:8080" }, ""},
		"another scheme":             {func(c *capi.Config) { c.BaseURL = "ftp://localhost" }, "https"},
		"a base URL without a host":  {func(c *capi.Config) { c.BaseURL = "https://" }, "BaseURL"},
		"a base URL with a query":    {func(c *capi.Config) { c.BaseURL = "https://x.test/?a" }, "query"},
		"too many events in a batch": {func(c *capi.Config) { c.MaxBatchEvents = 10_001 }, "MaxBatchEvents"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := valid
			tt.edit(&cfg)
			_, err := capi.New(cfg)
			if tt.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.problem)
			require.Len(t, strings.Split(err.Error(), "\n"), 1)
		})
	}
}

func TestClient_redirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		followed := false
		mux := http.NewServeMux()
		mux.HandleFunc("/agentic/v1/capi", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", status)
		})
		mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { followed = true })
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		own := &http.Client{Timeout: time.Minute}
		for _, user := range []*http.Client{nil, own} {
			c, err := capi.New(capi.Config{APIKey: testKey, Dialect: logEvent, BaseURL: server.URL, HTTPClient: user, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			report, err := c.Send(context.Background(), purchase("1"))
			var refusal *capi.ResponseError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, status, refusal.Status())
			require.Equal(t, clickid.SendErrorConfiguration, refusal.Kind())
			require.Equal(t, clickid.VerdictFailed, report.Results[0].Verdict)
			require.False(t, followed)
		}
		require.Nil(t, own.CheckRedirect, "the user's client is not changed")
	}
}

func TestClient_connections(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat(" ", 100_000) + "{}"))
	}))
	t.Cleanup(server.Close)
	addresses := map[string]bool{}
	server.Config.Handler = recordingRemote(server.Config.Handler, addresses)
	c, err := capi.New(capi.Config{APIKey: testKey, Dialect: ecapi, BaseURL: server.URL, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for _, id := range []string{"1", "2", "3"} {
		_, err := c.Send(context.Background(), purchase(id))
		require.NoError(t, err)
	}
	require.Len(t, addresses, 1)
}

// recordingRemote records the addresses of the clients. The requests must be
// sequential.
func recordingRemote(next http.Handler, addresses map[string]bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addresses[r.RemoteAddr] = true
		next.ServeHTTP(w, r)
	})
}

func TestClient_Send_noEvents(t *testing.T) {
	t.Parallel()
	report, err := newClient(t, platformtest.Responding(platformtest.OK()), ecapi).Send(context.Background())
	require.NoError(t, err)
	require.Empty(t, report.Results)
	require.False(t, report.Accepted())
}

func TestClient_Name(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ecapi ping.scope3.com ds_abc123xyz", newClient(t, platformtest.Responding(platformtest.OK()), ecapi).Name())
	require.Equal(t, "logevent ping.scope3.com shop", newClient(t, platformtest.Responding(platformtest.OK()), logEvent).Name())
}

func TestDestinationName(t *testing.T) {
	t.Parallel()
	for _, d := range []capi.Dialect{logEvent, ecapi, capi.LogEvent{EventSourceID: "shop", AdvertiserID: "adv"}} {
		name, err := capi.DestinationName(capi.Config{Dialect: d})
		require.NoError(t, err)
		require.Equal(t, newClient(t, platformtest.Responding(platformtest.OK()), d).Name(), name)
	}
	_, err := capi.DestinationName(capi.Config{})
	require.ErrorContains(t, err, "Dialect is required")
	_, err = capi.DestinationName(capi.Config{Dialect: capi.LogEvent{}})
	require.ErrorContains(t, err, "EventSourceID")
}

func TestEnvironment_hosts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dialect             capi.Dialect
		production, staging string
	}{
		{logEvent, "ping.scope3.com", "ping.staging.scope3.com"},
		{ecapi, "ping.scope3.com", "ping.staging.scope3.com"},
		{capi.LogEvent{EventSourceID: "shop", AdvertiserID: "adv"}, "api.interchange.io", "api.agentic.staging.scope3.com"},
	} {
		for env, host := range map[capi.Environment]string{capi.EnvironmentProduction: tt.production, capi.EnvironmentStaging: tt.staging} {
			p := platformtest.Responding(platformtest.OK())
			_, err := newClient(t, p, tt.dialect, func(cfg *capi.Config) { cfg.Environment = env }).Send(context.Background(), purchase("1"))
			require.NoError(t, err)
			require.Equal(t, host, p.Requests[0].URL.Host)
		}
	}
}
