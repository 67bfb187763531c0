package doctor_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/clickid/clickid/cmd/clickid/internal/doctor"
	"github.com/stretchr/testify/require"
)

// requireInert checks that the output of a report has no control characters.
func requireInert(t *testing.T, report doctor.Report) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, report.Print(&b))
	require.NoError(t, json.NewEncoder(&b).Encode(report))
	require.False(t, strings.ContainsFunc(b.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }), "%q", b.String())
	require.Less(t, b.Len(), 100_000)
}

func TestConfig_hostileHeaders(t *testing.T) {
	t.Parallel()
	const escape = "\x1b]0;owned\a\u202e"
	for name, e := range map[string]edit{
		"Location":   setting("Location", "https://shop.example/"+escape+"?"+strings.Repeat("x", 1<<16)),
		"Set-Cookie": adding("clkid=1; Domain=" + escape + "; Path=/" + escape),
		"cookies": func(h http.Header, _ *http.Request) {
			for i := range 5000 {
				h.Add("Set-Cookie", fmt.Sprintf("clkid=%d; Path=/%d; Domain=shop.example", i, i))
			}
		},
		"caching": setting("Cache-Control", "public"+escape, "Age", "9", "X-Cache", "HIT "+escape, "Referrer-Policy", escape),
		"refresh": setting("Refresh", "0; url=javascript:"+escape),
		"Date":    setting("Date", escape),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireInert(t, examine(t, shop(t, e)))
		})
	}
	t.Run("platform", func(t *testing.T) {
		t.Parallel()
		health := `"status":"needs_attention","lastError":"\u001b]0;owned\u0007 \u202e"`
		report := examine(t, one(healthy(t)), account(listing(http.NotFoundHandler(), health, "")))
		requireInert(t, report)
	})
}

// TestConfig_largeBody opens pages that expand to 128 MiB.
func TestConfig_largeBody(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 8 {
		_, err := w.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	server := httptest.NewServer(tracked(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for range 16 {
			_, _ = w.Write(bomb.Bytes())
		}
	})))
	t.Cleanup(server.Close)
	report := examine(t, nil, from(t, server.URL), func(c *doctor.Config) { c.Transport = nil })
	require.Empty(t, problems(report))
}

func TestConfig_noResponse(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(server.Close)
	report := examine(t, nil, from(t, server.URL), func(c *doctor.Config) { c.Transport, c.Timeout = nil, 50*time.Millisecond })
	found := problems(report)
	require.Len(t, found, 1)
	require.Equal(t, doctor.Name("landing"), found[0].Name)
	require.Equal(t, "no response in time", found[0].Seen)
}

func TestConfig_endlessRedirects(t *testing.T) {
	t.Parallel()
	requests := 0
	report := examine(t, one(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		http.Redirect(w, r, fmt.Sprint("/", requests, "?", r.URL.RawQuery), http.StatusFound)
	})))
	require.Equal(t, []string{"redirect-loop"}, names(problems(report)))
	require.Equal(t, 21, requests)
}
