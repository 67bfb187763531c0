package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/apihttp"
	"golang.org/x/net/idna"
)

// Limits of one visit.
const (
	maxRedirects = 20
	maxBody      = 1 << 20
)

const userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 clickid-doctor"

// purpose is what a browser requests a URL for, as its fetch metadata tell.
type purpose struct {
	mode, dest string
	prefetch   string // Sec-Purpose
	accept     string
}

const acceptPage = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

// The purposes of requests.
func navigation() purpose { return purpose{mode: "navigate", dest: "document", accept: acceptPage} }
func prerender() purpose {
	return purpose{mode: "navigate", dest: "document", accept: acceptPage, prefetch: "prefetch;prerender"}
}
func prefetch() purpose {
	return purpose{mode: "no-cors", dest: "empty", accept: "*/*", prefetch: "prefetch"}
}
func image() purpose {
	return purpose{mode: "no-cors", dest: "image", accept: "image/avif,image/webp,image/*,*/*;q=0.8"}
}
func frame() purpose { return purpose{mode: "navigate", dest: "iframe", accept: acceptPage} }

// request is a request of a visitor.
type request struct {
	method  string // "" means GET
	url     *url.URL
	from    *url.URL // the page with the link, or nil for another site
	policy  string   // the Referrer-Policy of that page
	purpose purpose
	form    url.Values
	stay    bool // do not follow redirects
}

// hop is a request and its response.
type hop struct {
	url     *url.URL
	status  int
	header  http.Header
	sent    []storedCookie // the click's cookies of the request
	set     []cookie       // the click's cookies of the response
	other   bool           // the response sets other cookies
	next    *url.URL       // of a redirect, or nil
	held    bool           // the browser sends a click's cookie to next
	refresh string         // the Referer of a redirect by the page itself, or ""
}

// visit is a page with the redirects that lead to it.
type visit struct {
	hops []hop
	page page   // of the last hop
	err  string // why the page is missing, or ""
}

// last returns the last hop, or an empty one.
func (v visit) last() hop {
	if len(v.hops) == 0 {
		return hop{url: &url.URL{}}
	}
	return v.hops[len(v.hops)-1]
}

// cookies returns the click's cookies that the responses set and do not delete.
func (v visit) cookies() []cookie {
	var list []cookie
	for _, h := range v.hops {
		for _, c := range h.set {
			if !c.deletes() {
				list = append(list, c)
			}
		}
	}
	return list
}

// conclusive returns why a visit proves nothing about the tracker, or "".
func (v visit) conclusive() string {
	status := v.last().status
	switch {
	case v.err != "":
		return v.err
	case status == http.StatusTooManyRequests || status >= 500:
		return fmt.Sprintf("the response was %d", status)
	}
	return ""
}

// visitor is a browser with cookies of its own.
type visitor struct {
	*exam
	jar jar
	gpc bool
}

func (e *exam) newVisitor() *visitor { return &visitor{exam: e} }

// open follows a link of another site.
func (v *visitor) open(ctx context.Context, u *url.URL) visit {
	return v.visit(ctx, request{url: u, purpose: navigation()})
}

// visit sends a request and follows the redirects.
func (v *visitor) visit(ctx context.Context, r request) (result visit) {
	relation := originOf(r)
	for {
		relation = related(relation, r.from, r.url)
		h, body, err := v.fetch(ctx, r, relation)
		if err != nil {
			result.err = cause(err)
			return result
		}
		result.page = parsePage(body)
		leaves := h.next == nil
		if leaves && r.method != http.MethodHead && r.purpose.dest == "document" {
			h.next = refreshOf(h, result.page)
		}
		if h.next == nil || r.stay {
			result.hops = append(result.hops, h)
			return result
		}
		if leaves {
			// The page itself navigates, and not the site with the link.
			r = request{from: r.url, policy: referrerPolicy(h.header, result.page), purpose: r.purpose}
			relation = originOf(r)
			h.refresh = refererOf(r.from, h.next, r.policy)
		} else if h.status != http.StatusTemporaryRedirect && h.status != http.StatusPermanentRedirect && r.method == http.MethodPost {
			r.method, r.form = "", nil
		}
		h.held = len(v.held(h.next, time.Now(), related(relation, r.from, h.next) != "cross-site")) > 0
		result.hops = append(result.hops, h)
		switch {
		case h.next.Scheme != "http" && h.next.Scheme != "https" || h.next.Host == "":
			result.err = "it redirects to an address of the scheme " + cmp.Or(h.next.Scheme, "(none)")
			return result
		case len(result.hops) > maxRedirects:
			result.err = fmt.Sprintf("more than %d redirects", maxRedirects)
			return result
		}
		r.url = h.next
	}
}

// originOf returns the value of Sec-Fetch-Site before the first request.
func originOf(r request) string {
	if r.from == nil {
		return "cross-site"
	}
	return "same-origin"
}

// related returns the value of Sec-Fetch-Site for the next request of a chain.
func related(before string, from, to *url.URL) string {
	switch {
	case before == "cross-site" || from == nil || !sameSite(from, to):
		return "cross-site"
	case before == "same-site" || !sameOrigin(from, to):
		return "same-site"
	}
	return "same-origin"
}

func (v *visitor) fetch(ctx context.Context, r request, relation string) (hop, string, error) {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	method := cmp.Or(r.method, http.MethodGet)
	var body io.Reader
	if r.form != nil {
		body = strings.NewReader(r.form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url.String(), body)
	if err != nil {
		return hop{}, "", err
	}
	v.describe(req, r, relation)
	h := hop{url: r.url}
	var pairs []string
	for _, c := range v.jar.sent(r.url, time.Now(), relation != "cross-site", method != http.MethodPost && r.purpose.mode == "navigate") {
		pairs = append(pairs, c.name+"="+c.value)
		if v.isClick(c.name) {
			h.sent = append(h.sent, c)
		}
	}
	if sameSite(r.url, v.URL) {
		pairs = append(pairs, v.SendCookies...)
	}
	if len(pairs) > 0 {
		req.Header["Cookie"] = []string{strings.Join(pairs, "; ")}
	}
	resp, err := apihttp.Do(v.client, req)
	if err != nil {
		return hop{}, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return hop{}, "", err
	}
	h.status, h.header = resp.StatusCode, resp.Header
	now := time.Now()
	for _, line := range resp.Header["Set-Cookie"] {
		c := parseCookie(line, now)
		if v.isClick(c.name) {
			h.set = append(h.set, c)
		} else {
			h.other = true
		}
		_ = v.jar.store(r.url, c, now) // judged later
	}
	h.next = nextOf(r.url, resp)
	return h, string(content), nil
}

// held returns the click's cookies that the visitor sends to u.
func (v *visitor) held(u *url.URL, now time.Time, fromSite bool) []storedCookie {
	var list []storedCookie
	for _, c := range v.jar.sent(u, now, fromSite, true) {
		if v.isClick(c.name) {
			list = append(list, c)
		}
	}
	return list
}

// describe sets the header of a browser.
func (v *visitor) describe(req *http.Request, r request, relation string) {
	h := req.Header
	h.Set("User-Agent", userAgent)
	h.Set("Accept", r.purpose.accept)
	h.Set("Accept-Language", "en")
	if v.gpc {
		h.Set("Sec-GPC", "1")
	}
	if r.purpose.prefetch != "" {
		h.Set("Sec-Purpose", r.purpose.prefetch)
	}
	if r.form != nil {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		if r.from != nil {
			h.Set("Origin", r.from.Scheme+"://"+r.from.Host)
		}
	}
	if r.purpose.mode == "navigate" {
		h.Set("Upgrade-Insecure-Requests", "1")
	}
	if trustworthy(r.url) {
		h.Set("Sec-Fetch-Site", relation)
		h.Set("Sec-Fetch-Mode", r.purpose.mode)
		h.Set("Sec-Fetch-Dest", r.purpose.dest)
		if r.purpose == navigation() {
			h.Set("Sec-Fetch-User", "?1")
		}
	}
	if r.from != nil {
		if referer := refererOf(r.from, r.url, r.policy); referer != "" {
			h.Set("Referer", referer)
		}
	}
}

// nextOf returns the target of a redirect by status, or nil.
func nextOf(u *url.URL, resp *http.Response) *url.URL {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if location := resp.Header.Get("Location"); location != "" {
			return resolve(u, location)
		}
	}
	return nil
}

// refreshOf returns the target of a redirect by the page itself, or nil.
func refreshOf(h hop, p page) *url.URL {
	if target := cmp.Or(refreshTarget(h.header.Get("Refresh")), p.refresh); target != "" {
		return resolve(h.url, target)
	}
	return nil
}

// resolve returns a reference relative to u, or a URL without scheme if it
// cannot be parsed.
func resolve(u *url.URL, reference string) *url.URL {
	target, err := u.Parse(reference)
	if err != nil {
		return &url.URL{}
	}
	asciiHost(target)
	return target
}

// asciiHost replaces an internationalised host by its form in requests.
func asciiHost(u *url.URL) {
	host, err := idna.Lookup.ToASCII(u.Hostname())
	if err != nil || host == u.Hostname() {
		return // the request will fail, or does not need it
	}
	if port := u.Port(); port != "" {
		host = net.JoinHostPort(host, port)
	}
	u.Host = host
}

// cause returns an error without the URL.
func cause(err error) string {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no response in time"
	}
	return err.Error()
}

// isClick reports whether a cookie of the name is that of the click.
func (c Config) isClick(name string) bool {
	return slices.Contains([]string{c.Cookie, "__Host-" + c.Cookie, "__Secure-" + c.Cookie}, name)
}
