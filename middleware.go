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
	"sync/atomic"
	"time"

	"github.com/clickid/clickid/internal/extending"
	"github.com/clickid/clickid/internal/nilcheck"
	"github.com/clickid/clickid/internal/origin"
	"github.com/clickid/clickid/internal/query"
)

// Defaults and limits of [Config].
const (
	DefaultTTL          = 30 * 24 * time.Hour
	MaxTTL              = 400 * 24 * time.Hour // Chrome's maximum for cookies
	DefaultStoreTimeout = 250 * time.Millisecond
)

// maxParams limits the parameters for which every query is searched.
const maxParams = 8

// Config configures a [Tracker]. Store is required. The zero values of the
// other fields are their defaults. Later changes have no effect.
type Config struct {
	// Store stores the clicks. Required.
	Store Store
	// Linker finds clicks by the application's keys. Defaults to Store if that
	// is a Linker. Otherwise Link and Linked return an error.
	Linker Linker
	// Params are the URL parameters with a click ID, in the order of
	// preference: at most 8, of 1 to 64 characters of [A-Za-z0-9._~-]. Links
	// belong to the network of the first one; services that share a Linker need
	// the same. Defaults to "clkid", "sc3clid".
	Params []string
	// TTL is the lifetime of a click from its capture, in whole seconds, up to
	// 400 days. It is never extended. Defaults to 30 days.
	TTL time.Duration
	// Cookie configures the cookie. Defaults to a host-only, secure cookie
	// named "__Host-clkid".
	Cookie Cookie
	// Touch decides between a stored click and a landing. Defaults to LastTouch.
	Touch Touch
	// Hosts are the hosts on which clicks are stored, such as "www.example.com".
	// On other hosts click parameters are ignored, for instance on "example.com"
	// if it redirects to www. Port and case do not matter. Defaults to all hosts.
	Hosts []string
	// Consent returns the visitor's consent, usually from the cookie of the
	// banner. It is called for requests with a click (in the URL or a
	// same-origin Referer) or the tracker's cookie, and for requests that send
	// a conversion. It must be fast and safe for concurrent use. Without it,
	// consent counts as granted. With it, the events of webhooks have no user
	// identities unless their own Consent is granted; see [Event].Consent.
	Consent func(*http.Request) Consent
	// IgnoreGPC ignores the header Sec-GPC: 1 (Global Privacy Control). By
	// default it means that consent is denied, regardless of Consent.
	IgnoreGPC bool
	// SendUnknown makes Convert send the events of visitors whose consent is
	// unknown, with their user identities. By default they are skipped.
	SendUnknown bool
	// Accept reports whether to accept a click ID of 1 to 512 visible ASCII
	// characters. Defaults to [ValidID]. [IsULID] is stricter.
	Accept func(id string) bool
	// LandingIP returns the visitor's address: that of r.RemoteAddr, or of a
	// header that the application's proxy sets. With it, the address and the
	// user agent of a landing are stored with its click, and ECAPI sends them
	// with IAB fields. Both are personal data. Defaults to none.
	LandingIP func(r *http.Request) string
	// StoreTimeout limits the store calls of a step. A landing has at most three
	// steps: it loads the earlier click, saves the new one, and records with the
	// Linker which click it replaces. Other pages only have a step if they look
	// up the click, or if it is erased because consent is denied. Resolve, Linked
	// and erasures outside of a request have 40 times as long. Defaults to 250
	// ms.
	StoreTimeout time.Duration
	// StripParam redirects a landing (302) to the same URL without the
	// parameter after its click is stored, so that copied links have no click.
	// It applies only over proven HTTPS, where browsers store the cookie, and to
	// targets of up to 1,024 bytes, since proxies limit the headers of responses.
	// Visitors who refuse cookies lose their click.
	StripParam bool
	// Hook is called synchronously and concurrently with every observation. It
	// must be fast. Optional.
	Hook func(context.Context, Observation)
	// Logger logs the observations: store errors, panics and clicks of the
	// fallback at level Error, lost clicks and those at risk at Warn, invalid
	// cookies at Info, others at Debug. Defaults to slog.Default().
	Logger *slog.Logger
}

// Tracker captures clicks and finds them again.
//
// For a GET or HEAD request without a click it scans query, cookies and Referer
// without an allocation, and does not change the response. It runs before the
// handler and does not wrap the ResponseWriter, so that flushing, hijacking,
// streaming and redirects work as without it.
//
// It never breaks a page: if the store fails or a function of [Config] panics,
// the page is served, and the failure is reported to hook and log.
type Tracker struct {
	store       guardedStore
	local       localStore   // the store if it can load without I/O, or nil
	linker      Linker       // guarded, or nil
	ownLinks    bool         // store and linker are the same
	checker     TokenChecker // guarded, or nil
	params      *query.Params
	network     string // see networkOf
	hosts       []string
	ttl         time.Duration
	jar         cookieJar
	touch       Touch
	consentOf   func(*http.Request) Consent
	ignoreGPC   bool
	sendUnknown bool
	accept      func(string) bool
	landingIP   func(*http.Request) string // or nil
	timeout     time.Duration
	stripParam  bool
	hook        func(context.Context, Observation)
	logger      *slog.Logger
	now         func() time.Time

	outer    atomic.Pointer[Tracker] // the outermost tracker around this one, once it is known
	conflict atomic.Bool             // a conflict of cookie names was reported
}

// New returns a tracker. Its error joins all problems of cfg.
func New(cfg Config) (*Tracker, error) {
	ttl := cmp.Or(cfg.TTL, DefaultTTL)
	jar, problems := newCookieJar(cfg.Cookie, ttl)
	if problems = append(cfg.problems(), problems...); len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	t := &Tracker{
		store:       guardedStore{cfg.Store},
		params:      query.New(orDefaults(cfg.Params)),
		ttl:         ttl,
		jar:         jar,
		touch:       cfg.Touch,
		consentOf:   cfg.Consent,
		ignoreGPC:   cfg.IgnoreGPC,
		sendUnknown: cfg.SendUnknown,
		landingIP:   cfg.LandingIP,
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
	t.network = networkOf(t.params.Names())
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

// problems returns the problems of cfg, except those of Cookie.
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
		case host == "" || strings.Contains(host, "/") || origin.Hostname(host) != strings.ToLower(host):
			problem("Hosts[%d] must be a host name without scheme and port", i)
		case cfg.Cookie.Domain != "" && !origin.Covers(cfg.Cookie.Domain, strings.ToLower(host)):
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

// Format prints the name of the tracker's cookie and not the contents of the
// store.
func (t *Tracker) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "clickid.Tracker(%s)", t.jar.name)
}

// Handler captures the click, redirects the landing if [Config].StripParam is
// set, and otherwise calls next with the click in the request's context.
//
// Handler and Capture of a nil tracker log an error once and change nothing.
func (t *Tracker) Handler(next http.Handler) http.Handler {
	if t == nil {
		logNilTracker()
		return next
	}
	t.surround(next)
	return &handler{t, next}
}

// handler is the http.Handler of a tracker.
type handler struct {
	tracker *Tracker
	next    http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	captured := h.tracker.Capture(w, r)
	if captured == r {
		h.next.ServeHTTP(w, r)
		return
	}
	if h.tracker.Strip(w, captured) {
		return
	}
	defer h.tracker.Finish(w, r, captured)
	h.next.ServeHTTP(w, captured)
}

// Capture is for adapters of frameworks. They call Capture and Strip before the
// handler and Finish after it. Capture stores the click of the request, sets
// the visitor's cookie on w, and returns the request with the click in its
// context. It returns a request that does not concern the tracker unchanged.
//
// It only writes headers. The response to a URL with a click parameter gets
// Cache-Control: private, no-cache and CDN-Cache-Control: no-store, so that
// shared caches do not give one visitor's click to others. The handler can
// override these headers.
func (t *Tracker) Capture(w http.ResponseWriter, r *http.Request) *http.Request {
	read := t.read(r)
	if !read.concerns {
		return r
	}
	if v := t.visitOf(r.Context()); v != nil && v.captured.Load() { // wrapped twice
		return r
	}
	if first := visitFrom(r.Context()); first != nil && first.tracker != nil {
		t.outer.Store(first.tracker)
	}
	v, r := t.newVisit(r)
	if read.present {
		forbidCaching(w.Header())
	}
	if read.lost && v.currentConsent() != ConsentDenied {
		t.observe(r.Context(), Observation{Kind: KindLostClick})
	}
	switch {
	case !read.present && !read.recovered && !read.cookie && read.passing == "":
		// A later conversion in this request checks the consent.
	case v.currentConsent() == ConsentDenied:
		t.deny(w, r, v, read)
	case read.passing != "":
		v.change(func() { v.landedID = read.passing })
	case read.present || read.recovered:
		t.take(w, r, v, read)
	}
	return r
}

func init() {
	extending.Concerns = func(t any, r *http.Request) bool { return t.(*Tracker).read(r).concerns }
}

// take stores or defers the click of the request, or reports the reason why not.
func (t *Tracker) take(w http.ResponseWriter, r *http.Request, v *visit, read reading) {
	ctx := r.Context()
	o := Observation{Param: read.param, Recovered: read.recovered, Speculative: isPrefetch(r.Header), Reason: read.refused}
	if o.Reason != "" {
		o.Kind = KindRefused
		o.landing = captureRefusal(r) == ""
		if o.Reason == ReasonPrefetch {
			// Without no-store, Chrome reuses a prefetched page for five
			// minutes. The real click must reach the server.
			w.Header()["Cache-Control"] = []string{"no-store"}
		}
		t.observe(ctx, o)
		return
	}
	if read.recovered && read.cookie {
		// A cookie without a click does not prevent the use of the Referer.
		if _, err := v.lookup(ctx); !errors.Is(err, ErrNotFound) {
			return
		}
	}
	if !read.recovered {
		v.change(func() { v.landedID = read.id })
	}
	if v.currentConsent() == ConsentUnknown {
		v.settle(t.newClick(r, read.id, read.param), "", false)
		o.Kind = KindDeferred
		t.observe(ctx, o)
		return
	}
	// The page is served in any case; keep has reported a failure.
	_ = t.keep(w, r, v, read.id, o)
}

// Strip is for adapters of frameworks. It responds to a landing with the
// redirect of [Config].StripParam and reports whether it did. If so, the
// handler must not run. It redirects only if the click is stored, over proven
// HTTPS, and never to another site.
func (t *Tracker) Strip(w http.ResponseWriter, r *http.Request) bool {
	if t == nil || !t.stripParam {
		return false
	}
	v := t.visitOf(r.Context())
	if v == nil || origin.TransportOf(r) != origin.Secure {
		return false
	}
	if _, stored, _ := v.landing(); !stored {
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

// Finish is for adapters of frameworks, which defer it around the handler.
// original is the request that was passed to Capture, handled the last one of
// the handler. Finish copies the handler's changes back to the server's
// request, since net/http only removes the temporary files of that one. It
// reports [KindClickAtRisk] if the response loses the click.
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
	if reason := t.risk(handled.Context(), v, w.Header(), original); reason != "" {
		t.observe(handled.Context(), Observation{Kind: KindClickAtRisk, Reason: reason})
	}
}

// risk returns how the response to r loses its click, or "".
func (t *Tracker) risk(ctx context.Context, v *visit, h http.Header, r *http.Request) Reason {
	id, stored, refusal := v.landing()
	if location := h["Location"]; len(location) > 0 {
		u, err := url.Parse(location[0])
		switch {
		case err != nil:
			return ""
		case id == "":
			if !t.keepsCookie(r, u) && t.wasStripped(ctx, v, r) {
				return ReasonStripped
			}
		case t.params.Find(u.RawQuery, t.accept).Value == id:
			return ""
		case !stored || !t.keepsCookie(r, u):
			return ReasonRedirect
		}
	}
	if stored && !t.jar.isSet(h["Set-Cookie"]) && !t.jar.present(r.Header["Cookie"]) {
		return ReasonCookieDropped
	}
	return refusal
}

// wasStripped reports whether the browser comes to r by the redirect of Strip:
// from another site, with a click of the last minute.
func (t *Tracker) wasStripped(ctx context.Context, v *visit, r *http.Request) bool {
	if !t.stripParam || captureRefusal(r) != "" || origin.FromOwnSite(r) {
		return false
	}
	c, err := v.lookup(ctx)
	return err == nil && t.now().Sub(c.At) < time.Minute
}

// keepsCookie reports whether the browser sends the cookie of the response to r
// when it follows the redirect to u.
func (t *Tracker) keepsCookie(r *http.Request, u *url.URL) bool {
	if u.Host == "" {
		return true
	}
	from, to := origin.Hostname(r.Host), origin.Hostname(u.Host)
	if from != to && (t.jar.domain == "" || !origin.Covers(t.jar.domain, to)) {
		return false
	}
	if t.jar.insecure || origin.Loopback(to) {
		return true
	}
	return u.Scheme == "" || u.Scheme == "https" && origin.TransportOf(r) == origin.Secure
}

// keep stores the click and sets the cookie, unless the stored click takes
// precedence. It reports the result. The error is that of the store.
func (t *Tracker) keep(w http.ResponseWriter, r *http.Request, v *visit, id string, o Observation) error {
	ctx := r.Context()
	landed := t.newClick(r, id, o.Param)
	if reason := t.cookieRefusal(r); reason != "" {
		// Only this request has the click. Finish reports it, unless a redirect
		// keeps the parameter.
		v.settle(landed, "", false)
		v.change(func() { v.refusal = reason })
		return nil
	}
	if issued, ok := landed.Issued(); ok {
		o.Age = max(landed.At.Sub(issued), 0)
	}
	// If the earlier click cannot be loaded, the new one is stored.
	stored, err := v.lookup(ctx)
	var earlier string
	v.change(func() { earlier = v.token })
	if err == nil {
		o.Kind = KindUnchanged
		if stored.ID == landed.ID {
			o.Reason = ReasonSameClick
		} else if !t.replaces(ctx, stored, landed) {
			o.Reason = ReasonTouch
		}
		if o.Reason != "" {
			v.settle(stored, earlier, !o.Recovered)
			t.observe(ctx, o)
			return nil
		}
	}

	token, took, err := t.save(ctx, landed)
	if err == nil && earlier != "" && t.linker != nil {
		// It expires before the new click if it could not be loaded.
		t.supersede(ctx, token, earlier, cmp.Or(stored.Expires, landed.Expires))
	}
	if err != nil {
		// Only this request has the click.
		v.settle(landed, "", false)
		return err
	}
	v.settle(landed, token, !o.Recovered)
	t.jar.set(w.Header(), token)
	if o.Recovered { // Capture has done so for a click in the URL
		forbidCaching(w.Header())
	}
	o.Kind, o.Duration = KindCaptured, took
	t.observe(ctx, o)
	if len(token) > metadataLength {
		t.observe(ctx, Observation{Kind: KindLongToken, Param: o.Param})
	}
	return nil
}

// save stores the click and reports a failure of the store or of a part of it.
func (t *Tracker) save(ctx context.Context, c Click) (token string, took time.Duration, err error) {
	if store, ok := t.store.Store.(*cookieStore); ok {
		if token, err = store.save(c); err == nil {
			return token, 0, nil
		}
		t.observe(ctx, Observation{Kind: KindStoreError, Param: c.Param, Err: err})
		return "", 0, fmt.Errorf("clickid: signing the click: %w", err)
	}
	storeCtx, cancel := t.storeContext(ctx)
	defer cancel()
	var outage error
	start := time.Now()
	token, err = t.store.Save(context.WithValue(storeCtx, fallbackReport{}, &outage), c)
	took = time.Since(start)
	if err != nil {
		t.observe(ctx, Observation{Kind: KindStoreError, Param: c.Param, Duration: took, Err: err})
		return "", took, fmt.Errorf("clickid: saving the click: %w", err)
	}
	if outage != nil {
		t.observe(ctx, Observation{Kind: KindFellBack, Param: c.Param, Duration: took, Err: outage})
	}
	return token, took, nil
}

// forbidCaching forbids shared caches to store the response. It does not use
// no-store for the browser, since that would disable the back/forward cache.
// CDN-Cache-Control (RFC 9213) takes precedence over other settings of a CDN.
func forbidCaching(h http.Header) {
	values := [...]string{"private, no-cache", "no-store"}
	h["Cache-Control"] = values[:1:1]
	h["Cdn-Cache-Control"] = values[1:] // canonical form
}

// acceptance returns the check of a click ID. If the application's function
// panics, the ID is refused.
func (t *Tracker) acceptance(accept func(string) bool) func(string) bool {
	if accept == nil {
		return ValidID
	}
	return func(id string) (ok bool) {
		defer t.reportPanic(context.Background(), "Accept")
		return storableID(id) && accept(id)
	}
}

// replaces applies the attribution rule. If it panics, the landing replaces the
// stored click.
func (t *Tracker) replaces(ctx context.Context, stored, landed Click) (replace bool) {
	replace = true
	defer t.reportPanic(ctx, "Touch")
	return t.touch(stored, landed)
}

// reportPanic is deferred around application functions.
func (t *Tracker) reportPanic(ctx context.Context, function string) {
	if err := panicError(recover(), "Config."+function); err != nil {
		t.observe(ctx, Observation{Kind: KindPanic, Err: err})
	}
}
