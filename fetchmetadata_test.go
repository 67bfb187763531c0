package clickid_test

import (
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// The fetch metadata of browsers; "" is a missing header.
var (
	fetchModes = []string{"", "navigate", "no-cors", "cors", "same-origin", "websocket"}
	fetchDests = []string{
		"", "document", "empty", "iframe", "frame", "fencedframe", "embed", "object", "image", "script", "style", "font",
		"audio", "video", "track", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet",
		"manifest", "report", "xslt", "json", "webidentity", "unknown",
	}
	prefetches = []string{
		"Sec-Purpose: prefetch", "Sec-Purpose: prefetch;prerender", "Sec-Purpose: prefetch;anonymous-client-ip",
		"Purpose: prefetch", "X-Moz: prefetch",
	}
)

// visits are the combinations of mode and destination of visits: a navigation
// of the top-level page, one that a service worker sends, and a request of a
// browser without fetch metadata.
var visits = map[[2]string]bool{
	{"navigate", "document"}: true,
	{"navigate", "empty"}:    true,
	{"navigate", ""}:         true,
	{"", "document"}:         true,
	{"", ""}:                 true,
}

func fetchHeaders(mode, dest string) []string {
	var headers []string
	if mode != "" {
		headers = append(headers, "Sec-Fetch-Mode: "+mode)
	}
	if dest != "" {
		headers = append(headers, "Sec-Fetch-Dest: "+dest)
	}
	return headers
}

func TestCapture_fetchMetadata(t *testing.T) {
	t.Parallel()
	for _, mode := range fetchModes {
		for _, dest := range fetchDests {
			s := newSite(t, clickid.Config{})
			resp := s.visitor().get("/?clkid=abc", fetchHeaders(mode, dest)...)
			want := clickid.Observation{Kind: clickid.KindCaptured, Param: "clkid"}
			if !visits[[2]string{mode, dest}] {
				want = clickid.Observation{Kind: clickid.KindRefused, Param: "clkid", Reason: clickid.ReasonDestination}
				require.Empty(t, resp.setCookies())
				require.Empty(t, resp.id())
			}
			require.Equal(t, []clickid.Observation{want}, s.observations(), "mode %q, destination %q", mode, dest)
		}
	}
}

// A prefetch or prerender by speculation rules is a navigation; if the visitor
// comes, no other request may follow. A link prefetch is not.
func TestCapture_prefetch(t *testing.T) {
	t.Parallel()
	for _, prefetch := range prefetches {
		for _, mode := range fetchModes {
			for _, dest := range fetchDests {
				s := newSite(t, clickid.Config{})
				resp := s.visitor().get("/?clkid=abc", append(fetchHeaders(mode, dest), prefetch)...)
				want := clickid.Observation{Kind: clickid.KindCaptured, Param: "clkid", Speculative: true}
				if dest == "" || !visits[[2]string{mode, dest}] {
					want = clickid.Observation{Kind: clickid.KindRefused, Param: "clkid", Reason: clickid.ReasonPrefetch, Speculative: true}
					require.Empty(t, resp.setCookies())
					require.Equal(t, "no-store", resp.Header().Get("Cache-Control"), "so that the real click reaches the server")
				}
				require.Equal(t, []clickid.Observation{want}, s.observations(), "%s, mode %q, destination %q", prefetch, mode, dest)
			}
		}
	}
}

func TestCapture_afterLinkPrefetch(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	v.get("/?clkid=abc", "Sec-Purpose: prefetch", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: empty")
	require.Empty(t, v.get("/").id())
	v.get("/?clkid=abc", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
	require.Equal(t, "abc", v.get("/").id())
}

func TestCapture_otherPurposes(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"Purpose: preview", "Sec-Purpose: none", "X-Moz: other"} {
		s := newSite(t, clickid.Config{})
		s.visitor().get("/?clkid=abc", header)
		require.Equal(t, []clickid.Observation{{Kind: clickid.KindCaptured, Param: "clkid"}}, s.observations(), header)
	}
}
