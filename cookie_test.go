package clickid_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestCookie_default(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	resp := s.visitor().get("/?clkid=" + documentedID)
	token, ok := clickid.Token(resp.ctx)
	require.True(t, ok)
	require.Equal(t, []string{"__Host-clkid=" + token + "; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"}, resp.setCookies())
}

func TestCookie_configurations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cookie clickid.Cookie
		ttl    time.Duration
		want   string // with TOKEN for the value
	}{
		"default": {clickid.Cookie{}, 0,
			"__Host-clkid=TOKEN; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
		"another name": {clickid.Cookie{Name: "ad"}, 0,
			"__Host-ad=TOKEN; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax"},
		"shared between subdomains": {clickid.Cookie{Domain: "example.com"}, 0,
			"__Secure-clkid=TOKEN; Path=/; Max-Age=2592000; Domain=example.com; HttpOnly; Secure; SameSite=Lax"},
		"for development on plain HTTP": {clickid.Cookie{Insecure: true}, 0,
			"clkid=TOKEN; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"},
		"the same with a domain": {clickid.Cookie{Insecure: true, Domain: "example.com"}, 0,
			"clkid=TOKEN; Path=/; Max-Age=2592000; Domain=example.com; HttpOnly; SameSite=Lax"},
		"a lifetime of a week": {clickid.Cookie{}, 7 * 24 * time.Hour,
			"__Host-clkid=TOKEN; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Lax"},
		"the longest lifetime": {clickid.Cookie{}, clickid.MaxTTL,
			"__Host-clkid=TOKEN; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{Cookie: tt.cookie, TTL: tt.ttl})
			v := s.visitor()
			resp := v.get("/?clkid=abc")
			token, _ := clickid.Token(resp.ctx)
			require.Equal(t, []string{strings.Replace(tt.want, "TOKEN", token, 1)}, resp.setCookies())
			parsed := resp.Result().Cookies()
			require.Len(t, parsed, 1)
			require.NoError(t, parsed[0].Valid())
			require.Equal(t, "abc", v.get("/").id(), "the browser's cookie is read")

			s.page = func(w http.ResponseWriter, r *http.Request) { require.NoError(t, s.Forget(w, r)) }
			expired := v.get("/forget").Result().Cookies()
			require.Len(t, expired, 1)
			require.Equal(t, parsed[0].Name, expired[0].Name)
			require.Equal(t, parsed[0].Domain, expired[0].Domain, "or the browser keeps the old one")
			require.Equal(t, parsed[0].Path, expired[0].Path)
			require.Equal(t, parsed[0].Secure, expired[0].Secure, "or browsers refuse a prefixed name")
			require.Negative(t, expired[0].MaxAge)
			require.Empty(t, expired[0].Value)
		})
	}
}

func TestNew_cookie(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cookie  clickid.Cookie
		problem string // "" means none
	}{
		"a registrable domain":                     {clickid.Cookie{Domain: "example.com"}, ""},
		"a subdomain":                              {clickid.Cookie{Domain: "shop.example.com"}, ""},
		"under a suffix of two labels":             {clickid.Cookie{Domain: "example.co.uk"}, ""},
		"an internationalised domain":              {clickid.Cookie{Domain: "xn--bcher-kva.example"}, ""},
		"a top-level domain":                       {clickid.Cookie{Domain: "com"}, "public suffix"},
		"a public suffix of two labels":            {clickid.Cookie{Domain: "co.uk"}, "public suffix"},
		"a hosting company's suffix":               {clickid.Cookie{Domain: "github.io"}, "public suffix"},
		"a name of one label":                      {clickid.Cookie{Domain: "localhost"}, "public suffix"},
		"a leading dot":                            {clickid.Cookie{Domain: ".example.com"}, "dots"},
		"a trailing dot":                           {clickid.Cookie{Domain: "example.com."}, "dots"},
		"two dots":                                 {clickid.Cookie{Domain: "example..com"}, "dots"},
		"a port":                                   {clickid.Cookie{Domain: "example.com:8080"}, "port"},
		"a hyphen before a label":                  {clickid.Cookie{Domain: "-shop.example"}, "no hyphen"},
		"a hyphen after a label":                   {clickid.Cookie{Domain: "shop-.example"}, "no hyphen"},
		"a label of 64 characters":                 {clickid.Cookie{Domain: strings.Repeat("a", 64) + ".example"}, "63 characters"},
		"capitals":                                 {clickid.Cookie{Domain: "Example.com"}, "lower case"},
		"letters outside ASCII":                    {clickid.Cookie{Domain: "bücher.example"}, "xn--"},
		"attributes in the domain":                 {clickid.Cookie{Domain: "example.com; Secure"}, "host name"},
		"a URL":                                    {clickid.Cookie{Domain: "https://example.com"}, "port"},
		"an IPv4 address":                          {clickid.Cookie{Domain: "192.0.2.1"}, "IP address"},
		"a short IPv4 address":                     {clickid.Cookie{Domain: "127.1"}, "IP address"},
		"an IPv6 address":                          {clickid.Cookie{Domain: "2001:db8::1"}, "IP address"},
		"an IPv6 address in brackets":              {clickid.Cookie{Domain: "[2001:db8::1]"}, "IP address"},
		"a name with every character of a token":   {clickid.Cookie{Name: "!#$%&'*+-.^_`|~aZ9"}, ""},
		"a name with its prefix":                   {clickid.Cookie{Name: "__Host-clkid"}, "without the prefix"},
		"a name with the prefix in lower case":     {clickid.Cookie{Name: "__secure-clkid"}, "without the prefix"},
		"a name with a space":                      {clickid.Cookie{Name: "cl kid"}, "HTTP token"},
		"a name with an equals sign":               {clickid.Cookie{Name: "cl=kid"}, "HTTP token"},
		"a name with a semicolon":                  {clickid.Cookie{Name: "clkid;"}, "HTTP token"},
		"a name with a line break":                 {clickid.Cookie{Name: "clkid\n"}, "HTTP token"},
		"a name outside ASCII":                     {clickid.Cookie{Name: "clkïd"}, "HTTP token"},
		"name and value of at most 4096 bytes":     {clickid.Cookie{Name: strings.Repeat("n", 4096-clickid.MaxTokenLength-len("__Secure-"))}, ""},
		"name and value of more than 4096 bytes":   {clickid.Cookie{Name: strings.Repeat("n", 4097-clickid.MaxTokenLength-len("__Secure-"))}, "too long"},
		"a prefix of the name without its meaning": {clickid.Cookie{Name: "Host-clkid"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clickid.New(clickid.Config{Store: clickid.NewMemoryStore(), Cookie: tt.cookie})
			if tt.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.problem)
			require.Len(t, strings.Split(err.Error(), "\n"), 1)
		})
	}
}

func TestSharedDomain(t *testing.T) {
	t.Parallel()
	tests := map[string]string{ // "" means an error
		"example.com":               "example.com",
		"www.example.com":           "example.com",
		"a.b.shop.example.co.uk":    "example.co.uk",
		"www.example.co.uk:8443":    "example.co.uk",
		"WWW.Example.COM":           "example.com",
		"www.example.com.":          "example.com",
		"me.github.io":              "me.github.io",
		"shop.me.github.io":         "me.github.io",
		"www.xn--bcher-kva.example": "xn--bcher-kva.example",
		"localhost":                 "",
		"localhost:8080":            "",
		"com":                       "",
		"co.uk":                     "",
		"github.io":                 "",
		"":                          "",
		".":                         "",
		"192.0.2.1":                 "",
		"192.0.2.1:80":              "",
		"2001:db8::1":               "",
		"[2001:db8::1]":             "",
		"[2001:db8::1]:80":          "",
		"www..example.com":          "",
	}
	for host, want := range tests {
		got, err := clickid.SharedDomain(host)
		if want == "" {
			require.Error(t, err, host)
			continue
		}
		require.NoError(t, err, host)
		require.Equal(t, want, got)
		_, err = clickid.New(clickid.Config{Store: clickid.NewMemoryStore(), Cookie: clickid.Cookie{Domain: got}})
		require.NoError(t, err, "the result is a valid Cookie.Domain")
	}
}

// cookieHeader sends a page request with the given Cookie headers.
func cookieHeader(s *site, lines ...string) *response {
	r := httptest.NewRequest(http.MethodGet, "/page", nil)
	r.Header["Cookie"] = lines
	return s.visitor().send(r)
}

func TestCookie_read(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	token, _ := clickid.Token(s.visitor().get("/?clkid=abc").ctx)
	ours := "__Host-clkid=" + token
	forged := "__Host-clkid=" + newTokenOf(t, newCookieStore(t, secondKey), "xyz")
	newest := clickid.SignPayload(s.store.Store, clickid.TokenPurpose, clickid.EncodePayload(clickid.Click{
		ID: "new", Param: "clkid", At: startOfTest.Add(time.Minute), Expires: startOfTest.Add(time.Hour),
	}))
	tests := map[string]struct {
		lines   []string
		id      string
		invalid int // how many cookies were noticed as invalid
	}{
		"only our cookie":                    {[]string{ours}, "abc", 0},
		"among others":                       {[]string{"a=1; " + ours + "; b=2"}, "abc", 0},
		"in the second of two headers":       {[]string{"a=1", ours}, "abc", 0},
		"without spaces":                     {[]string{"a=1;" + ours + ";b=2"}, "abc", 0},
		"with more spaces":                   {[]string{"a=1 ;  \t" + ours + " \t"}, "abc", 0},
		"after a forged one":                 {[]string{forged + "; " + ours}, "abc", 1},
		"after a damaged one":                {[]string{"__Host-clkid=\"%\x01\"; " + ours}, "abc", 1},
		"after an empty one":                 {[]string{"__Host-clkid=; " + ours}, "abc", 1},
		"before a forged one":                {[]string{ours + "; " + forged}, "abc", 1},
		"the latest of two":                  {[]string{ours + "; __Host-clkid=" + newest}, "new", 0},
		"the latest of two, sent first":      {[]string{"__Host-clkid=" + newest + "; " + ours}, "new", 0},
		"twice":                              {[]string{ours + "; " + ours}, "abc", 0},
		"as the fourth":                      {[]string{forged + "; " + forged + "; " + forged + "; " + ours}, "abc", 1},
		"after many forged ones":             {[]string{strings.Repeat(forged+"; ", 40) + ours}, "abc", 1},
		"after more than a browser keeps":    {[]string{strings.Repeat(forged+"; ", 64) + ours}, "", 1},
		"under the name without prefix":      {[]string{"clkid=" + token}, "", 0},
		"under the name in another case":     {[]string{"__host-clkid=" + token}, "", 0},
		"as the value of another":            {[]string{"a=" + ours}, "", 0},
		"a forged one":                       {[]string{forged}, "", 1},
		"a name without a value":             {[]string{"__Host-clkid"}, "", 0},
		"an empty value":                     {[]string{"__Host-clkid="}, "", 1},
		"one character changed":              {[]string{ours[:len(ours)-1] + flip(ours[len(ours)-1])}, "", 1},
		"cut short":                          {[]string{ours[:len(ours)-1]}, "", 1},
		"with something appended":            {[]string{ours + "A"}, "", 1},
		"with padding appended":              {[]string{ours + "="}, "", 1},
		"a value of 4 KiB":                   {[]string{"__Host-clkid=" + strings.Repeat("A", 4096)}, "", 1},
		"a value with a separator of tokens": {[]string{"__Host-clkid=" + token[:9] + "|" + token[9:]}, "", 1},
		"nothing but separators":             {[]string{"; ;;= ; =;"}, "", 0},
	}
	for name, tt := range tests {
		s.observations()
		resp := cookieHeader(s, tt.lines...)
		require.Equal(t, tt.id, resp.id(), name)
		_, err := clickid.Lookup(resp.ctx)
		if tt.id == "" {
			require.ErrorIs(t, err, clickid.ErrNotFound, "%s: simply no click", name)
			_, ok := clickid.Token(resp.ctx)
			require.False(t, ok, name)
		}
		require.Empty(t, resp.Header(), name)
		kinds := s.kinds()
		require.Len(t, kinds, tt.invalid, name)
		for _, kind := range kinds {
			require.Equal(t, clickid.KindInvalidCookie, kind, name)
		}
	}
}

// flip returns another character of base64.
func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func newTokenOf(t testing.TB, store clickid.Store, id string) string {
	t.Helper()
	click := clickid.Click{ID: id, Param: "clkid", At: startOfTest, Expires: startOfTest.Add(time.Hour)}
	clickid.SetStoreNow(store, func() time.Time { return startOfTest })
	token, err := store.Save(context.Background(), click)
	require.NoError(t, err)
	return token
}

func TestCookie_renamed(t *testing.T) {
	t.Parallel()
	v := newSite(t, clickid.Config{}).visitor()
	v.get("/?clkid=abc")
	renamed := newSite(t, clickid.Config{Cookie: clickid.Cookie{Name: "ad", Domain: "example.com"}})
	require.Equal(t, "abc", cookieHeader(renamed, "__Secure-ad="+v.cookies[0].Value).id())
}

func TestHandler_twice(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	calls := 0
	h := s.Handler(s.Handler(s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		calls++
		click, err := clickid.Lookup(r.Context())
		require.NoError(t, err)
		require.Equal(t, "abc", click.ID)
	}))))
	for _, target := range []string{"/?clkid=abc", "/?clkid=abc&x=%20"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		require.Len(t, w.Header()["Set-Cookie"], 1)
	}
	require.Equal(t, 2, calls)
	require.EqualValues(t, 2, s.store.saves.Load())
	require.Equal(t, []clickid.Kind{clickid.KindCaptured, clickid.KindCaptured}, s.kinds())
}

func TestCookie_forgetAndRemember(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	s.page = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "__Host-clkid-other=1")
		require.NoError(t, s.Forget(w, r))
		_, err := s.Remember(w, r, "def")
		require.NoError(t, err)
	}
	resp := s.visitor().get("/?clkid=abc")
	require.Len(t, resp.setCookies(), 2)
	require.Equal(t, "__Host-clkid-other=1", resp.setCookies()[0], "other cookies are not changed")
	require.Equal(t, "def", resp.id())
}

func TestHandler_twoTrackers(t *testing.T) {
	t.Parallel()
	own, other := newSite(t, clickid.Config{}), newSite(t, clickid.Config{Params: []string{"gclid"}, Cookie: clickid.Cookie{Name: "gclid"}})
	w := httptest.NewRecorder()
	own.Handler(other.Handler(http.NotFoundHandler())).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?clkid=a&gclid=b", nil))
	require.Len(t, w.Result().Cookies(), 2)
}
