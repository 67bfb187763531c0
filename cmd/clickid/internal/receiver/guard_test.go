package receiver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/stretchr/testify/require"
)

func TestReceiver_host(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *receiver.Options) { o.Hosts = []string{"receive", "Tests.example"} })
	for host, want := range map[string]int{
		"localhost":           200,
		"LOCALHOST:80":        200,
		"shop.localhost:2542": 200,
		"127.0.0.1":           200,
		"192.0.2.1:2542":      200,
		"[::1]:2542":          200,
		"[::1]":               200,
		"receive:2542":        200,
		"Tests.Example":       200,
		"evil.example":        421,
		"evil.example:2542":   421,
		"localhost.evil.test": 421,
		"notlocalhost":        421,
		"127.0.0.1.evil.test": 421,
	} {
		for _, path := range []string{"/", "/api/v1/events", "/assets/style.css"} {
			status, body := s.request(http.MethodGet, path, "", func(r *http.Request) { r.Host = host })
			require.Equal(t, want, status, "%s %s", host, path)
			if want == 421 {
				require.Contains(t, body, "start the receiver with -host ")
			}
		}
	}
	status, _ := s.request(http.MethodPost, ecapiPath, "{}", func(r *http.Request) { r.Host = "evil.example" })
	require.Equal(t, 421, status)
}

// TestReceiver_foreignPage covers requests that a page of another site makes.
func TestReceiver_foreignPage(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.send(ecapiPath, purchase("order-1"))
	foreign := func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
	for _, path := range []string{"/api/v1/events", "/api/v1/faults"} {
		status, _ := s.request(http.MethodDelete, path, "", foreign)
		require.Equal(t, 403, status)
	}
	status, _ := s.request(http.MethodPost, "/api/v1/faults", `{"fault":"503"}`, foreign)
	require.Equal(t, 403, status)
	get[list](s, 200, "/api/v1/assert?count=1")
	require.Empty(t, get[faults](s, 200, "/api/v1/faults").Faults)
}

func TestReceiver_contentSecurityPolicy(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/", "/assets/app.js", "/api/v1/events"} {
		resp, err := http.Get(s.url + path)
		require.NoError(t, err)
		page := text(t, resp)
		policy := resp.Header.Get("Content-Security-Policy")
		require.True(t, strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';"), policy)
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		if path == "/" {
			require.NotContains(t, page, "://", "an external asset")
			require.NotRegexp(t, `(?i)<style|<script>|\sstyle=|\son[a-z]+=`, page)
		}
	}
}
