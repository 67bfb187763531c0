package clickid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

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
	// Consent reports what the visitor said, usually from the consent
	// banner's cookie. It is called for requests that carry a click (in the
	// URL or a same-origin Referer) or our cookie, and must be fast and safe
	// for concurrent use. Defaults to granted.
	Consent func(*http.Request) Consent
	// IgnoreGPC lets Consent alone decide. By default the header Sec-GPC: 1
	// (Global Privacy Control) means denied, whatever Consent says.
	IgnoreGPC bool
	// SendUnknown lets Convert send the events of visitors whose consent is
	// unknown. By default they are skipped.
	SendUnknown bool
	// Accept narrows which click IDs are taken, beyond [ValidID]; [IsULID] is
	// one. Defaults to all valid ones.
	Accept func(id string) bool
	// StoreTimeout bounds what one step asks of the store. A landing waits for two
	// steps at most, to load the earlier click and to save the new one; other
	// pages wait only when they ask for the click, or when it is forgotten
	// since consent is denied. Defaults to 250 ms.
	StoreTimeout time.Duration
	// StripParam answers a landing, once its click is stored, with a redirect
	// (302) to the same URL without the parameter, so that copied links carry
	// no click, and no cache can keep the page for other visitors.
	StripParam bool
	// Hook is called for everything that the tracker notices, synchronously
	// and concurrently; it must be fast. Defaults to none.
	Hook func(context.Context, Observation)
	// Logger receives the same: store errors and clicks that fell back as
	// errors, lost clicks as warnings, invalid cookies as information, the
	// rest for debugging. Defaults to slog.Default().
	Logger *slog.Logger
}

// Tracker captures clicks and finds them again.
//
// A request that carries no click costs it a scan of query, cookies and
// Referer and no allocation. Its response is not touched. The tracker works
// before the handler and does not wrap the ResponseWriter, so that flushing,
// hijacking, streaming and redirects work as without it.
//
// It never breaks a page: when the store fails, the page is served without its
// click being kept, and the failure goes to the hook and the log.
type Tracker struct {
	store       guardedStore
	linker      Linker       // guarded, or nil
	checker     TokenChecker // guarded, or nil
	params      []string
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
	t := &Tracker{
		store:       guardedStore{cfg.Store},
		params:      append([]string(nil), cfg.Params...),
		ttl:         cfg.TTL,
		touch:       cfg.Touch,
		consentOf:   cfg.Consent,
		ignoreGPC:   cfg.IgnoreGPC,
		sendUnknown: cfg.SendUnknown,
		accept:      ValidID,
		timeout:     cfg.StoreTimeout,
		stripParam:  cfg.StripParam,
		hook:        cfg.Hook,
		logger:      cfg.Logger,
		now:         time.Now,
	}
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("clickid: "+format, args...))
	}

	if cfg.Store == nil {
		problem("Store is required; NewCookieStore needs no server")
	}
	if checker, ok := cfg.Store.(TokenChecker); ok {
		t.checker = guardedChecker{checker}
	}
	linker := cfg.Linker
	if linker == nil {
		linker, _ = cfg.Store.(Linker)
	}
	if linker != nil {
		t.linker = guardedLinker{linker}
	}
	if len(t.params) == 0 {
		t.params = []string{"clkid", "sc3clid"}
	}
	if len(t.params) > maxParams {
		problem("Params has %d names; at most %d are searched for", len(t.params), maxParams)
	}
	for i, param := range t.params {
		if !validParam(param) {
			problem("Params[%d] must be 1 to %d characters of [A-Za-z0-9._~-]", i, maxParamLength)
		}
		for _, other := range t.params[:i] {
			if param == other {
				problem("Params[%d] stands twice", i)
			}
		}
	}
	if t.ttl == 0 {
		t.ttl = DefaultTTL
	}
	if t.ttl < time.Second || t.ttl > MaxTTL {
		problem("TTL must be between one second and 400 days, which is as long as browsers keep a cookie")
	}
	if t.timeout == 0 {
		t.timeout = DefaultStoreTimeout
	}
	if t.timeout < 0 {
		problem("StoreTimeout must not be negative")
	}
	if t.touch == nil {
		t.touch = LastTouch
	}
	if accept := cfg.Accept; accept != nil {
		t.accept = func(id string) bool { return ValidID(id) && accept(id) }
	}
	if t.logger == nil {
		t.logger = slog.Default()
	}
	jar, wrong := newCookieJar(cfg.Cookie)
	t.jar = jar
	if problems = append(problems, wrong...); len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return t, nil
}

// Format prints the name of the tracker's cookie, whatever the verb: what its
// store holds is nobody's business.
func (t *Tracker) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "clickid.Tracker(%s)", t.jar.name)
}

// Handler wraps next: it captures the click, answers the landing with a
// redirect where [Config].StripParam asks for it, and otherwise calls next
// with a request whose context carries the click.
func (t *Tracker) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = t.Capture(w, r)
		if t.Strip(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Capture is the step that framework adapters call before the handler; follow
// it with Strip. It stores the click that the request carries, sets the
// visitor's cookie on w, and returns the request with the click in its
// context. A request that has nothing to do with a click is returned as it is.
//
// It writes headers only, never the status or the body. The response of a URL
// that carries a click parameter says Cache-Control: private, no-cache and
// CDN-Cache-Control: no-store, so that no shared cache hands one visitor's
// click to another. A handler that sets these headers itself overrides that.
func (t *Tracker) Capture(w http.ResponseWriter, r *http.Request) *http.Request {
	id, param, carried := query.Find(r.URL.RawQuery, t.params, t.accept)
	hasCookie := t.jar.present(r.Header["Cookie"])
	recovered := false
	if !carried {
		if r.URL.RawQuery != "" && query.HasPlatformSource(r.URL.RawQuery) && captureRefusal(r) == "" {
			t.observe(r.Context(), Observation{Kind: KindLostClick})
		}
		if !hasCookie {
			// The landing page may have come from a cache, or consent after it.
			if id, param = refererClickID(r, t.params, t.accept); id == "" || !isPage(r) {
				return r
			}
			recovered = true
		}
	}
	if t.visitOf(r.Context()) != nil {
		return r // wrapped twice
	}

	r, v := t.newVisit(r, t.Consent(r))
	if carried {
		forbidCaching(w.Header())
	}
	if v.consent == ConsentDenied {
		t.deny(w, r, v, hasCookie, carried)
		return r
	}
	if !carried && !recovered {
		return r
	}

	o := Observation{Param: param, Recovered: recovered, Speculative: isPrefetch(r.Header)}
	if id == "" {
		o.Reason = ReasonValue
	} else {
		o.Reason = captureRefusal(r)
	}
	switch {
	case o.Reason != "":
		o.Kind = KindRefused
		if o.Reason == ReasonPrefetch {
			// Chrome reuses a prefetched page for five minutes whatever its
			// Cache-Control, except no-store; the real click must reach us.
			w.Header().Set("Cache-Control", "no-store")
		}
		t.observe(r.Context(), o)
	case v.consent == ConsentUnknown:
		v.settle(t.newClick(id, param), "", false)
		o.Kind = KindDeferred
		t.observe(r.Context(), o)
	default:
		// The page is served whatever came of it; keep has reported a failure.
		_ = t.keep(w, r, v, id, o)
	}
	return r
}

// Strip answers the landing with the redirect of [Config].StripParam and
// reports whether it did; the handler must not run then. It does so only once
// the click is stored, and never where the redirect could lead to another
// site.
func (t *Tracker) Strip(w http.ResponseWriter, r *http.Request) bool {
	if !t.stripParam {
		return false
	}
	if v := t.visitOf(r.Context()); v == nil || !v.hasLanded() {
		return false
	}
	target, ok := strippedTarget(r, t.params)
	if !ok {
		return false
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusFound)
	return true
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
	if stored, err := v.lookup(ctx); err == nil {
		o.Kind = KindUnchanged
		if stored.ID == landed.ID {
			o.Reason = ReasonSameClick
		} else if !t.touch(stored, landed) {
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
	return nil
}

// save stores the click, and reports when the store or a tier of it fails.
func (t *Tracker) save(ctx context.Context, c Click) (token string, err error) {
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
	h.Set("Cache-Control", "private, no-cache")
	h.Set("CDN-Cache-Control", "no-store")
}
