package browser

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// ulidAt returns a ULID that was issued at a time.
func ulidAt(at time.Time) string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	id := []byte("0000000000" + clickID[10:])
	for i, ms := 9, at.UnixMilli(); ms > 0; i, ms = i-1, ms/32 {
		id[i] = digits[ms%32]
	}
	return string(id)
}

// TestFixation_link has a visitor with a click of its own who opens an
// attacker's link, goes back, and comes by the next ad.
func TestFixation_link(t *testing.T) {
	t.Parallel()
	earlierID, laterID := ulidAt(time.Now().Add(-2*time.Hour)), ulidAt(time.Now().Add(-time.Hour))
	w := newWorld(t)
	w.shop.HandleFunc("GET /order", showClick)
	w.ads.HandleFunc("GET /{$}", htmlPage("ad", `<a id="offer" href="https://shop.test/landing?clkid=`+earlierID+`">buy</a>`))
	w.open("https://ads.test/", "ad")
	w.click("#offer", "landing")
	victims := clickCookies(w)[0].Value
	require.Equal(t, earlierID, w.visitorsClick(), "a visitor without a click takes that of the link")

	w.open("https://shop.test/landing?clkid="+laterID, "landing")
	require.Equal(t, laterID, w.visitorsClick())
	require.NotEqual(t, victims, clickCookies(w)[0].Value)
	for _, attack := range []string{
		"https://shop.test/landing?clkid=" + earlierID, // an older ad
		"https://shop.test/landing?clkid=attack",       // no ULID
		"https://shop.test/landing?__Host-clkid=" + victims,
		"https://shop.test/landing?clkid=" + victims + "." + strings.Repeat("x", 500),
	} {
		w.open(attack, "landing")
		require.Equal(t, laterID, w.visitorsClick(), attack)
	}
	// Back to the first landing, from the cache for back and forward or with a
	// new request.
	w.travel(-11)
	require.Equal(t, "https://shop.test/landing?clkid="+earlierID, w.address())
	require.Equal(t, laterID, w.visitorsClick(), "the page in the history is not a new click")
}

// tossed are the cookies that another subdomain sets for the shop. %s is the token
// of a click that the attacker captured.
var tossed = []string{
	"__Host-clkid=%s; Domain=shop.test; Path=/; Secure",
	"__Host-clkid=%s; Domain=shop.test; Path=/order; Secure",
	"__Host-clkid=%s; Path=/; Secure", // for the subdomain itself
	"__host-clkid=%s; Domain=shop.test; Path=/; Secure",
	"__HOST-CLKID=%s; Domain=shop.test; Path=/; Secure",
	"=__Host-clkid=%s; Domain=shop.test; Path=/; Secure",
	" __Host-clkid=%s; Domain=shop.test; Path=/; Secure",
	"\t__Host-clkid =%s; Domain=shop.test; Path=/; Secure",
	"\u2000__Host-clkid=%s; Domain=shop.test; Path=/; Secure",
	"\u0085__Host-clkid=%s; Domain=shop.test; Path=/; Secure",
	"a=b,__Host-clkid=%s; Domain=shop.test; Path=/; Secure",
	`a="b; __Host-clkid=%s"; Domain=shop.test; Path=/; Secure`,
	"a=__Host-clkid=%s; Domain=shop.test; Path=/; Secure",
	"$Version=1,__Host-clkid=%s; Domain=shop.test; Path=/; Secure",
	"__Secure-clkid=%s; Domain=shop.test; Path=/; Secure",
	"clkid=%s; Domain=shop.test; Path=/; Secure",
}

// newTossing returns a world whose www host sets a cookie, by its response and by
// a script.
func newTossing(t *testing.T, edits ...func(*clickid.Config)) (w *world, toss func(line string)) {
	t.Helper()
	w = newWorld(t, edits...)
	w.shop.HandleFunc("GET /order", showClick)
	var line atomic.Value
	w.www.HandleFunc("GET /toss", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header()["Set-Cookie"] = []string{line.Load().(string)}
		writePage(rw, "toss", "")
	})
	return w, func(cookie string) {
		t.Helper()
		line.Store(cookie)
		w.open("https://www.shop.test/toss", "toss")
		// Reading the cookies waits until this one is set.
		eval[string](w.browser, fmt.Sprintf("(document.cookie = %q, document.cookie)", cookie))
	}
}

// TestFixation_tossing has another subdomain set cookies for the shop. With the
// prefix __Host- it has no effect.
func TestFixation_tossing(t *testing.T) {
	t.Parallel()
	w, toss := newTossing(t)
	w.open(landing, "landing")
	attackers := clickCookies(w)[0].Value
	for _, line := range tossed {
		w.forgetCookies()
		toss(strings.ReplaceAll(line, "%s", attackers))
		require.Empty(t, w.visitorsClick(), line)
	}
}

// TestFixation_sharedDomain has another subdomain set cookies of a shared domain:
// it can set the token of a click that it captured, which docs/security.md states
// as not defended, but neither forge one nor replace a later click.
func TestFixation_sharedDomain(t *testing.T) {
	t.Parallel()
	w, toss := newTossing(t, func(cfg *clickid.Config) { cfg.Cookie.Domain = shopHost })
	const line = "__Secure-clkid=%s; Domain=shop.test; Path=/order; Secure"
	store, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	save := func(at time.Time) string {
		token, err := store.Save(t.Context(), clickid.Click{ID: "attack", Param: "clkid", At: at, Expires: at.Add(clickid.DefaultTTL)})
		require.NoError(t, err)
		return token
	}
	attackers := save(time.Now().Add(-time.Hour).UTC().Truncate(time.Second))
	toss(fmt.Sprintf(line, attackers))
	require.Equal(t, "attack", w.visitorsClick(), "not defended")
	w.open(landing, "landing")
	require.Equal(t, clickID, w.visitorsClick(), "the visitor's own click is later")
	toss(fmt.Sprintf(line, attackers[:len(attackers)-1]+"_"))
	require.Equal(t, clickID, w.visitorsClick(), "a forged token has no effect")
	w.forgetCookies()
	toss(fmt.Sprintf(line, "x"+attackers[1:]))
	require.Empty(t, w.visitorsClick())
}

// TestFixation_overflow has another subdomain set so many cookies that the
// browser drops the shop's. The page is served without the click, and the click
// that the shop has linked to the visitor's session is found.
func TestFixation_overflow(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	w := newWorld(t, func(cfg *clickid.Config) { cfg.Store = memory })
	session := clickid.SessionKey("the visitor's session")
	w.shop.HandleFunc("GET /order", showClick)
	w.shop.HandleFunc("GET /login", func(rw http.ResponseWriter, r *http.Request) {
		if err := w.tracker.Link(r.Context(), session); err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
		writePage(rw, "login", "")
	})
	w.www.HandleFunc("GET /overflow", htmlPage("overflow", ""))
	w.open(landing, "landing")
	w.open("https://shop.test/login", "login")
	w.open("https://www.shop.test/overflow", "overflow")
	set := eval[int](w.browser, `(() => { for (let i = 0; i < 400; i++) document.cookie = "c" + i + "=x; Domain=shop.test; Path=/; Secure"; return document.cookie.length })()`)
	require.Positive(t, set) // reading them waits until all are set
	require.Empty(t, clickCookies(w), "Chromium keeps 180 cookies of a site")
	require.Empty(t, w.visitorsClick())
	linked, err := w.tracker.Linked(t.Context(), session)
	require.NoError(t, err)
	require.Equal(t, clickID, linked.ID)
	result, err := w.tracker.ConvertFor(t.Context(), session, w.client, w.newOrder())
	require.NoError(t, err)
	require.Equal(t, clickid.VerdictAccepted, result.Verdict)
	w.open(landing, "landing")
	require.Equal(t, clickID, w.visitorsClick(), "the next landing has its click")
}
