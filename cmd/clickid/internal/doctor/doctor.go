// Package doctor examines a running site: it lands as a browser does, with a
// click ID of its own, and reports how the site or the caches and redirects in
// front of it lose clicks.
package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// Defaults of [Config].
const (
	DefaultCookie  = "clkid"
	DefaultTimeout = 10 * time.Second
)

// DefaultParams returns the names of the click parameter.
func DefaultParams() []string { return []string{"clkid", "sc3clid"} }

// Config configures an examination.
type Config struct {
	// URL is a page that ads link to. Required.
	URL *url.URL
	// Params are the names of the click parameter. Defaults to DefaultParams.
	Params []string
	// Cookie is the name of the cookie without prefix. Defaults to DefaultCookie.
	Cookie string
	// Page is the page that the visitor opens after the landing. Defaults to the
	// landing without the click.
	Page *url.URL
	// Checkout is the address that the form with the fields of Form is posted to.
	// Optional.
	Checkout *url.URL
	Form     url.Values
	// SendCookies are sent with each request to the site, in the form
	// "name=value".
	SendCookies []string
	// Ignore are the names of findings to leave out.
	Ignore []string
	// Platform is nil without an API key.
	Platform *Platform
	// Timeout limits each request. Defaults to DefaultTimeout.
	Timeout time.Duration
	// Authorities are trusted for HTTPS. Defaults to those of the system.
	Authorities *x509.CertPool
	// Transport sends the requests to the site. Defaults to one with
	// Authorities.
	Transport http.RoundTripper
}

// maxRequests limits an examination to this number of requests that time out.
const maxRequests = 30

// Examine examines the site. Its error is that of ctx or of Config.
func (c Config) Examine(ctx context.Context) (Report, error) {
	if err := c.Check(); err != nil {
		return Report{}, err
	}
	if c.Transport == nil {
		transport := newTransport(c.Authorities)
		defer transport.CloseIdleConnections()
		c.Transport = transport
	}
	c.Cookie = cmp.Or(strings.TrimPrefix(strings.TrimPrefix(c.Cookie, "__Host-"), "__Secure-"), DefaultCookie)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	if len(c.Params) == 0 {
		c.Params = DefaultParams()
	}
	e := &exam{Config: c, record: newRecord(), client: &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, u := range []*url.URL{e.URL, e.Page, e.Checkout} {
		if u != nil {
			asciiHost(u)
		}
	}
	limited, cancel := context.WithTimeout(ctx, maxRequests*c.Timeout)
	defer cancel()
	e.examineSite(limited)
	e.examinePlatform(limited)
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("doctor: the examination was interrupted: %w", err)
	}
	return e.report(place(c.URL), c.Ignore), nil
}

// nameCharacters are the unreserved characters of RFC 3986.
const nameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"

// separators cannot be in the name of a cookie.
const separators = "()<>@,;:\\\"/[]?={}"

// Check returns an error if the configuration cannot be used.
func (c Config) Check() error {
	for _, u := range []*url.URL{c.URL, c.Page, c.Checkout} {
		if u != nil && (u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil) {
			return errors.New("doctor: an address must be a URL such as https://shop.example/, without credentials")
		}
	}
	if c.URL == nil {
		return errors.New("doctor: the URL of the landing page is missing")
	}
	for _, param := range c.Params {
		if param == "" || strings.Trim(param, nameCharacters) != "" {
			return errors.New("doctor: a parameter must consist of [A-Za-z0-9._~-]")
		}
	}
	if strings.ContainsFunc(c.Cookie, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(separators, r) }) {
		return errors.New("doctor: the name of the cookie must consist of visible ASCII characters without separators such as = and ;")
	}
	for _, pair := range c.SendCookies {
		name, _, ok := strings.Cut(pair, "=")
		if !ok || name == "" || strings.ContainsFunc(pair, func(r rune) bool { return r <= ' ' || r == ';' || r == 0x7f }) {
			return errors.New("doctor: a cookie must have the form NAME=VALUE, without spaces and semicolons")
		}
	}
	known := Kinds()
	for _, name := range c.Ignore {
		if !slices.ContainsFunc(known, func(k Kind) bool { return string(k.Name) == name }) {
			return fmt.Errorf("doctor: unknown finding %q; docs/doctor.md lists the names", name)
		}
	}
	return nil
}

// newTransport returns a transport with the limits of a browser.
func newTransport(authorities *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: DefaultTimeout}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 256 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities},
	}
}

// exam is a running examination.
type exam struct {
	Config
	*record
	client *http.Client

	click    string   // the click ID of the customer
	customer *visitor // lands first
	landing  visit
	next     visit  // the page after the landing
	late     bool   // the click is stored after the landing
	policy   string // the Referrer-Policy of the landing
	found    cookie // the click's cookie that is judged
}

// examineSite makes the checks in the order in which a visitor meets them. A
// step returns a reason if the later ones would prove nothing.
func (e *exam) examineSite(ctx context.Context) {
	for _, step := range []func(context.Context) (stop string){
		e.land, e.visitNextPage, e.judgeStorage, e.judgeCookie, e.postCheckout,
		e.judgeCaching, e.compareVisitors, e.judgeReferrer,
		e.visitWithGPC, e.requestParts, e.tryOtherParameters, e.tryValues,
	} {
		if e.stopped = step(ctx); e.stopped != "" {
			return
		}
	}
}

// newClick returns a click ID as the platform issues them.
func newClick() string { return ulid.Make().String() }

// landingURL returns the landing with a value of the parameter, which must be
// encoded. Other parameters stay as they are.
func (e *exam) landingURL(param, value string) *url.URL {
	u := e.withoutClick(e.URL)
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += param + "=" + value
	return u
}

// withoutClick returns u without click parameters.
func (e *exam) withoutClick(u *url.URL) *url.URL {
	stripped := *u
	var kept []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if part != "" && !slices.ContainsFunc(e.Params, func(p string) bool { return strings.EqualFold(p, name) }) {
			kept = append(kept, part)
		}
	}
	stripped.RawQuery = strings.Join(kept, "&")
	return &stripped
}
