package clickid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/extending"
	"github.com/clickid/clickid/internal/nilcheck"
	"github.com/clickid/clickid/internal/query"
)

// Defaults and bounds of [Config].
const (
	DefaultTTL          = 30 * 24 * time.Hour
	MaxTTL              = 400 * 24 * time.Hour // Chrome's cap on a cookie's lifetime
	DefaultStoreTimeout = 250 * time.Millisecond
)

// maxParams bounds the parameters that every page's query is searched for.
const maxParams = 8

// Config configures a [Tracker]. Only Store is required; the zero value of
// every other field is its default. Later changes have no effect.
type Config struct {
	// Store keeps the clicks. Required.
	Store Store
	// Linker finds clicks by the application's own keys. Defaults to Store
	// when that is a Linker too; otherwise Link and Linked return an error.
	Linker Linker
	// Params are the URL parameters that carry a click ID, in the order in
	// which they are looked for; at most 8 of 1 to 64 characters of
	// [A-Za-z0-9._~-]. Defaults to "clkid", "sc3clid".
	Params []string
	// TTL is how long a click lives, counted from its capture, in whole
	// seconds up to 400 days. It never slides. Defaults to 30 days.
	TTL time.Duration
	// Cookie configures the visitor's cookie. Defaults to a host-only, secure
	// cookie named "__Host-clkid".
	Cookie Cookie
	// Touch decides between a stored click and one that lands. Defaults to
	// LastTouch.
	Touch Touch
	// Hosts are the hosts on which clicks are kept, such as "www.example.com".
	// On others a click parameter passes through untouched, for instance on
	// "example.com", which redirects to www. Port and case do not matter.
	// Defaults to all hosts.
	Hosts []string
	// Consent reports the visitor's decision, usually from the consent banner's
	// cookie. It is called for requests that carry a click (in the URL or a
	// same-origin Referer) or the tracker's cookie, and for requests that send a
	// conversion. It must be fast and safe for concurrent use. Defaults to
	// granted.
	Consent func(*http.Request) Consent
	// IgnoreGPC leaves the decision to Consent. By default the header
	// Sec-GPC: 1 (Global Privacy Control) means denied, whatever Consent
	// returns.
	IgnoreGPC bool
	// SendUnknown lets Convert send the events of visitors whose consent is
	// unknown. By default they are skipped.
	SendUnknown bool
	// Accept decides which click IDs are taken. It is only asked for IDs of 1 to
	// 512 visible ASCII characters. Defaults to [ValidID]; [IsULID] is stricter.
	Accept func(id string) bool
	// StoreTimeout bounds what one step asks of the store. A landing waits for two
	// steps at most, to load the earlier click and to save the new one; other
	// pages wait only when they ask for the click, or when it is forgotten
	// since consent is denied. Resolve, Linked and the erasures get 40 times as
	// long where no request waits for them. Defaults to 250 ms.
	StoreTimeout time.Duration
	// StripParam redirects a landing, once its click is stored, to the same URL
	// without the parameter (302), so that copied links carry no click. It only
	// does so over proven HTTPS, where browsers keep the cookie. Visitors who
	// refuse cookies lose their click with it.
	StripParam bool
	// Hook is called for everything that the tracker notices, synchronously
	// and concurrently; it must be fast. Defaults to none.
	Hook func(context.Context, Observation)
	// Logger receives the same: store errors, panics and clicks that fell back
	// as errors, clicks that are lost or at risk as warnings, invalid cookies as
	// information, the rest for debugging. Defaults to slog.Default().
	Logger *slog.Logger
}

// Tracker captures clicks and finds them again.
//
// A GET or HEAD request without a click costs a scan of query, cookies and
// Referer and no allocation, and its response is not touched. The tracker works
// before the handler and does not wrap the ResponseWriter, so that flushing,
// hijacking, streaming and redirects work as without it.
//
// It never breaks a page: when the store fails or a function of [Config]
// panics, the page is served and the failure goes to the hook and the log.
type Tracker struct {
	store       guardedStore
	local       localStore   // the store, when it can load without input and output, or nil
	linker      Linker       // guarded, or nil
	ownLinks    bool         // store and linker are the same
	checker     TokenChecker // guarded, or nil
	params      *query.Params
	hosts       []string
	ttl         time.Duration
	jar         cookieJar
	touch       Touch
	consentOf   func(*http.Request) Consent
	ignoreGPC   bool
	sendUnknown bool
	accept      func(string) bool
	timeout     time.Duration
	stripParam  bool
	hook        func(context.Context, Observation)
	logger      *slog.Logger
	now         func() time.Time
}

// New returns a tracker, or an error that names every problem of cfg.
func New(cfg Config) (*Tracker, error) {
	jar, problems := newCookieJar(cfg.Cookie)
	if problems = append(cfg.problems(), problems...); len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	t := &Tracker{
		store:       guardedStore{cfg.Store},
		params:      query.New(orDefaults(cfg.Params)),
		ttl:         cmp.Or(cfg.TTL, DefaultTTL),
		jar:         jar,
		touch:       cfg.Touch,
		consentOf:   cfg.Consent,
		ignoreGPC:   cfg.IgnoreGPC,
		sendUnknown: cfg.SendUnknown,
		timeout:     cmp.Or(cfg.StoreTimeout, DefaultStoreTimeout),
		stripParam:  cfg.StripParam,
		hook:        cfg.Hook,
		logger:      cfg.Logger,
		now:         time.Now,
	}
	for _, host := range cfg.Hosts {
		t.hosts = append(t.hosts, strings.ToLower(host))
	}
	if t.touch == nil {
		t.touch = LastTouch
	}
	if t.logger == nil {
		t.logger = slog.Default()
	}
	t.accept = t.acceptance(cfg.Accept)
	t.local, _ = cfg.Store.(localStore)
	if checker, ok := cfg.Store.(TokenChecker); ok {
		t.checker = guardedChecker{checker}
	}
	linker := cfg.Linker
	if linker == nil {
		linker, t.ownLinks = cfg.Store.(Linker)
	}
	if linker != nil {
		t.linker = guardedLinker{linker}
	}
	return t, nil
}

func orDefaults(params []string) []string {
	if len(params) == 0 {
		return []string{"clkid", "sc3clid"}
	}
	return slices.Clone(params)
}

// problems returns everything that is wrong with cfg, except for its Cookie.
func (cfg *Config) problems() []error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("clickid: "+format, args...))
	}
	if nilcheck.IsNil(cfg.Store) {
		problem("Store is required; NewCookieStore needs no server")
	}
	if cfg.Linker != nil && nilcheck.IsNil(cfg.Linker) {
		problem("Linker must not be a nil pointer; leave it out to use the Store's links")
	}
	if len(cfg.Params) > maxParams {
		problem("Params has %d names; at most %d are searched for", len(cfg.Params), maxParams)
	}
	for i, param := range cfg.Params {
		if !validParam(param) {
			problem("Params[%d] must be 1 to %d characters of [A-Za-z0-9._~-]", i, maxParamLength)
		}
		for _, other := range cfg.Params[:i] {
			if strings.EqualFold(param, other) {
				problem("Params[%d] repeats an earlier name; case does not matter", i)
			}
		}
	}
	for i, host := range cfg.Hosts {
		switch {
		case host == "" || strings.Contains(host, "/") || hostname(host) != strings.ToLower(host):
			problem("Hosts[%d] must be a host name without scheme and port", i)
		case cfg.Cookie.Domain != "" && !covers(cfg.Cookie.Domain, strings.ToLower(host)):
			problem("Hosts[%d] is not within Cookie.Domain, so that browsers would refuse the cookie there", i)
		}
	}
	if cfg.TTL != 0 && cfg.TTL < time.Second || cfg.TTL > MaxTTL {
		problem("TTL must be between one second and 400 days, which is as long as browsers keep a cookie")
	}
	if cfg.StoreTimeout < 0 {
		problem("StoreTimeout must not be negative")
	}
	return problems
}

// Format prints the name of the tracker's cookie, whatever the verb, and keeps
// the store's content out of logs.
func (t *Tracker) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "clickid.Tracker(%s)", t.jar.name)
}

// Handler wraps next: it captures the click, redirects the landing where
// [Config].StripParam asks for it, and otherwise calls next with a request
// whose context carries the click.
//
// The Handler of a nil tracker serves next and logs an error.
func (t *Tracker) Handler(next http.Handler) http.Handler {
	if t == nil {
		slog.Error("clickid: the tracker is nil, so that no click is captured; check the error of clickid.New")
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		captured := t.Capture(w, r)
		if captured == r {
			next.ServeHTTP(w, r)
			return
		}
		if t.Strip(w, captured) {
			return
		}
		defer t.Finish(w, r, captured)
		next.ServeHTTP(w, captured)
	})
}

// Capture is the first of three steps that adapters of frameworks take: Capture
// and Strip before the handler, Finish after it. It stores the click that the
// request carries, sets the visitor's cookie on w, and returns the request with
// the click in its context. A request that does not concern the tracker is
// returned as it is.
//
// It writes headers only, never the status or the body. The response of a URL
// that carries a click parameter gets Cache-Control: private, no-cache and
// CDN-Cache-Control: no-store, so that no shared cache hands one visitor's
// click to another. A handler that sets these headers itself overrides that.
func (t *Tracker) Capture(w http.ResponseWriter, r *http.Request) *http.Request {
	read := t.read(r)
	if !read.concerns && !read.lost || t.visitOf(r.Context()) != nil { // wrapped twice
		return r
	}
	if read.lost && t.Consent(r) != ConsentDenied {
		t.observe(r.Context(), Observation{Kind: KindLostClick})
	}
	if !read.concerns {
		return r
	}
	v, r := t.newVisit(r)
	if read.present {
		forbidCaching(w.Header())
	}
	switch {
	case !read.present && !read.recovered && !read.cookie:
		// Only a trace: a later conversion asks for the consent.
	case v.currentConsent() == ConsentDenied:
		t.deny(w, r, v, read)
	case read.present || read.recovered:
		t.take(w, r, v, read)
	}
	return r
}

func init() {
	extending.Concerns = func(t any, r *http.Request) bool {
		read := t.(*Tracker).read(r)
		return read.concerns || read.lost
	}
}

// take stores or defers the click that the request carries, or reports why not.
func (t *Tracker) take(w http.ResponseWriter, r *http.Request, v *visit, read reading) {
	ctx := r.Context()
	o := Observation{Param: read.param, Recovered: read.recovered, Speculative: isPrefetch(r.Header), Reason: read.refused}
	if o.Reason != "" {
		o.Kind = KindRefused
		o.landing = captureRefusal(r) == ""
		if o.Reason == ReasonPrefetch {
			// Chrome reuses a prefetched page for five minutes whatever its
			// Cache-Control, except no-store; the real click must reach us.
			w.Header()["Cache-Control"] = []string{"no-store"}
		}
		t.observe(ctx, o)
		return
	}
	if read.recovered && read.cookie {
		// A cookie that yields no click does not stand in the way of the Referer.
		if _, err := v.lookup(ctx); !errors.Is(err, ErrNotFound) {
			return
		}
	}
	if !read.recovered {
		v.lands(read.id)
	}
	if v.currentConsent() == ConsentUnknown {
		v.settle(t.newClick(read.id, read.param), "", false)
		o.Kind = KindDeferred
		t.observe(ctx, o)
		return
	}
	if o.Reason = t.cookieRefusal(r); o.Reason != "" {
		// This request still knows its click; the browser would not keep it.
		v.settle(t.newClick(read.id, read.param), "", false)
		o.Kind, o.landing = KindRefused, true
		t.observe(ctx, o)
		return
	}
	// The page is served whatever came of it; keep has reported a failure.
	_ = t.keep(w, r, v, read.id, o)
}

// Strip is the second step of adapters: it responds to the landing with the
// redirect of [Config].StripParam and reports whether it did; the handler must
// not run then. It does so only once the click is stored, over proven HTTPS,
// and never where the redirect could lead to another site.
func (t *Tracker) Strip(w http.ResponseWriter, r *http.Request) bool {
	if !t.stripParam {
		return false
	}
	if v := t.visitOf(r.Context()); v == nil || !v.hasLanded() || transportOf(r) != transportSecure {
		return false
	}
	target, ok := strippedTarget(r, t.params)
	if !ok {
		return false
	}
	w.Header()["Location"] = []string{target}
	w.WriteHeader(http.StatusFound)
	return true
}

// Finish is the last step of adapters, deferred around the handler. original is
// the request that Capture was given, handled the one that the handler used
// last. It hands what the handler left in the copy back to the server's
// request: net/http removes the temporary files of an upload only from its own.
// And it reports [KindClickAtRisk] when the response loses the click.
func (t *Tracker) Finish(w http.ResponseWriter, original, handled *http.Request) {
	if handled == original {
		return
	}
	if handled.MultipartForm != nil {
		original.MultipartForm = handled.MultipartForm
	}
	if handled.Pattern != "" {
		original.Pattern = handled.Pattern
	}
	v := t.visitOf(handled.Context())
	if v == nil {
		return
	}
	if id, stored := v.landing(); id != "" {
		if reason := t.risk(w.Header(), original, id, stored); reason != "" {
			t.observe(handled.Context(), Observation{Kind: KindClickAtRisk, Reason: reason})
		}
	}
}

// risk returns how the response to a landing loses its click, or "". With
// stored the tracker has set its cookie or found it.
func (t *Tracker) risk(h http.Header, r *http.Request, id string, stored bool) Reason {
	if location := h["Location"]; len(location) > 0 {
		u, err := url.Parse(location[0])
		if err != nil || t.params.Find(u.RawQuery, t.accept).Value == id {
			return ""
		}
		if !stored || !t.keepsCookie(r, u) {
			return ReasonRedirect
		}
	}
	if stored && !t.jar.isSet(h["Set-Cookie"]) && !t.jar.present(r.Header["Cookie"]) {
		return ReasonCookieDropped
	}
	return ""
}

// keepsCookie reports whether the browser sends the cookie that the response to
// r sets when it follows the redirect to u.
func (t *Tracker) keepsCookie(r *http.Request, u *url.URL) bool {
	if u.Host == "" {
		return true
	}
	from, to := hostname(r.Host), hostname(u.Host)
	if from != to && (t.jar.domain == "" || !covers(t.jar.domain, to)) {
		return false
	}
	if t.jar.insecure || isLoopback(to) {
		return true
	}
	return u.Scheme == "" || u.Scheme == "https" && transportOf(r) == transportSecure
}

// keep stores the click and sets the cookie, unless the visitor's own click
// stays. It reports what it did; the error is that of the store.
func (t *Tracker) keep(w http.ResponseWriter, r *http.Request, v *visit, id string, o Observation) error {
	ctx := r.Context()
	landed := t.newClick(id, o.Param)
	if issued, ok := landed.Issued(); ok {
		o.Age = max(landed.At.Sub(issued), 0)
	}
	// A store that cannot load the earlier click does not keep the new one out.
	stored, err := v.lookup(ctx)
	if err == nil {
		o.Kind = KindUnchanged
		if stored.ID == landed.ID {
			o.Reason = ReasonSameClick
		} else if !t.replaces(ctx, stored, landed) {
			o.Reason = ReasonTouch
		}
		if o.Reason != "" {
			v.markLanded(!o.Recovered)
			t.observe(ctx, o)
			return nil
		}
	}

	token, err := t.save(ctx, landed)
	if err != nil {
		// This request still knows its click; only later ones will not.
		v.settle(landed, "", false)
		return err
	}
	v.settle(landed, token, !o.Recovered)
	t.jar.set(w.Header(), token, t.ttl)
	forbidCaching(w.Header())
	o.Kind = KindCaptured
	t.observe(ctx, o)
	if len(token) > metadataLength {
		t.observe(ctx, Observation{Kind: KindLongToken, Param: o.Param})
	}
	return nil
}

// save stores the click, and reports when the store or a part of it fails.
func (t *Tracker) save(ctx context.Context, c Click) (token string, err error) {
	if store, ok := t.store.Store.(*cookieStore); ok {
		if token, err = store.save(c); err == nil {
			return token, nil
		}
		t.observe(ctx, Observation{Kind: KindStoreError, Param: c.Param, Err: err})
		return "", fmt.Errorf("clickid: the cookie store could not sign the click: %w", err)
	}
	storeCtx, cancel := t.storeContext(ctx)
	defer cancel()
	var outage error
	if token, err = t.store.Save(context.WithValue(storeCtx, fallbackReport{}, &outage), c); err != nil {
		t.observe(ctx, Observation{Kind: KindStoreError, Param: c.Param, Err: err})
		return "", fmt.Errorf("clickid: the store could not save the click: %w", err)
	}
	if outage != nil {
		t.observe(ctx, Observation{Kind: KindFellBack, Param: c.Param, Err: outage})
	}
	return token, nil
}

// forbidCaching keeps shared caches from storing the response. It is not
// no-store for the browser, which would cost the page its back/forward cache.
// CDN-Cache-Control (RFC 9213) outweighs what a CDN was told otherwise.
func forbidCaching(h http.Header) {
	values := [...]string{"private, no-cache", "no-store"}
	h["Cache-Control"] = values[:1:1]
	h["Cdn-Cache-Control"] = values[1:] // as net/http spells it
}

// acceptance returns the check of a click ID. A panic of the application's
// function refuses the ID.
func (t *Tracker) acceptance(accept func(string) bool) func(string) bool {
	if accept == nil {
		return ValidID
	}
	return func(id string) (ok bool) {
		defer t.reportPanic(context.Background(), "Accept")
		return storableID(id) && accept(id)
	}
}

// replaces asks the attribution rule. A panic keeps the stored click out of the
// way of the one that lands.
func (t *Tracker) replaces(ctx context.Context, stored, landed Click) (replace bool) {
	replace = true
	defer t.reportPanic(ctx, "Touch")
	return t.touch(stored, landed)
}

// reportPanic is deferred around the application's functions.
func (t *Tracker) reportPanic(ctx context.Context, function string) {
	if err := panicError(recover(), "Config."+function); err != nil {
		t.observe(ctx, Observation{Kind: KindPanic, Err: err})
	}
}
