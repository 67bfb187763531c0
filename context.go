package clickid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid/internal/extending"
	"github.com/clickid/clickid/internal/origin"
	"github.com/clickid/clickid/internal/visitor"
)

// visit is a request's context with the visitor's click and consent. It decodes
// or loads the click at the first lookup and keeps it for the request. It gets
// the consent when it is needed.
type visit struct {
	context.Context                       // nil in a visit that joined another
	tracker         *Tracker              // nil for a click of WithClick
	request         *http.Request         // nil for a click of WithClick
	captured        atomic.Bool           // the tracker has seen the request
	next            atomic.Pointer[visit] // of another tracker, see join

	mu       sync.Mutex
	asked    bool // consent is final
	consent  Consent
	lines    []string // the Cookie headers
	resolved bool     // click, token and err are final
	click    Click
	token    string // of the click, or of one that could not be loaded; "" if it is not stored
	err      error
	landed   bool   // the click of the URL is stored
	landedID string // the click ID of the URL
	refusal  Reason // why the browser would refuse the cookie, or ""
}

// Value returns the visit for its key.
func (v *visit) Value(key any) any {
	if key == extending.ContextKey {
		return v
	}
	return v.Context.Value(key)
}

// Format does not print click and token.
func (v *visit) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "clickid.visit") }

// visitFrom returns the first of the visits in ctx, or nil.
func visitFrom(ctx context.Context) *visit {
	v, _ := ctx.Value(extending.ContextKey).(*visit)
	return v
}

// newVisit returns r with a new visit.
func (t *Tracker) newVisit(r *http.Request) (v *visit, traced *http.Request) {
	if first := visitFrom(r.Context()); first != nil && first.tracker != nil {
		v, traced = t.join(first, r), r.WithContext(r.Context())
	} else {
		v = &visit{Context: r.Context(), tracker: t, request: r, lines: r.Header["Cookie"]}
		traced = r.WithContext(v)
	}
	v.captured.Store(true)
	return v, traced
}

// Context returns r's context with the visitor's click and consent, for a GET
// page that creates an order: the tracker does not add the consent to the
// context of pages without a click.
func (t *Tracker) Context(r *http.Request) context.Context {
	if t == nil || t.visitOf(r.Context()) != nil {
		return r.Context()
	}
	_, traced := t.newVisit(r)
	return traced.Context()
}

// Lookup returns the visitor's click. It decodes or loads the click at the
// first call and keeps it for the request. Behind several trackers it is that
// of the outermost; see [Tracker.Lookup].
//
// The error matches [ErrNotFound] if there is certainly no click: the visitor
// has none, or ctx is not that of a request behind a [Tracker]. Any other error
// means that the store is unavailable.
func Lookup(ctx context.Context) (Click, error) {
	return outermost(ctx).find(ctx)
}

// find is lookup for a visit that may be nil.
func (v *visit) find(ctx context.Context) (Click, error) {
	if v == nil {
		return Click{}, ErrNotFound
	}
	return v.lookup(ctx)
}

// FromContext returns the click of [Lookup], and false if that returns an error.
func FromContext(ctx context.Context) (Click, bool) {
	c, err := Lookup(ctx)
	return c, err == nil
}

// WithClick returns a context with the click c, for webhooks, workers and
// tests. With the zero Click, Lookup returns ErrNotFound. If c has a Param, only
// trackers with that parameter use it; see [Tracker.Bind].
func WithClick(ctx context.Context, c Click) context.Context {
	v := &visit{Context: ctx, asked: true, consent: ConsentGranted, resolved: true, click: c}
	v.next.Store(visitFrom(ctx))
	if c.IsZero() {
		v.err = ErrNotFound
	}
	return v
}

// Token returns the token of the visitor's click. Store it with an order or in
// the metadata of a payment: [Tracker.Resolve] finds the click by the token
// without the visitor. Token checks the form and the signature of the token,
// and calls the store only if the browser sent several cookies.
//
// ok is false if there is no token, for example because the click could not be
// stored, and for a visitor without consent, whose events [Convert] skips. It is
// also false, but with the token, if the token is longer than the 500 characters
// of payment metadata, as reported by [KindLongToken] at the capture. In a cookie
// store this happens with click IDs of more than 200 characters.
func Token(ctx context.Context) (token string, ok bool) { return outermost(ctx).sendable(ctx) }

// sendable returns the token if conversions may use it.
func (v *visit) sendable(ctx context.Context) (string, bool) {
	if v == nil || !v.permits() {
		return "", false
	}
	token := v.currentToken(ctx)
	return token, token != "" && len(token) <= metadataLength
}

// permits reports whether the visitor's consent allows conversions.
func (v *visit) permits() bool {
	switch v.currentConsent() {
	case ConsentGranted:
		return true
	case ConsentUnknown:
		return v.tracker != nil && v.tracker.sendUnknown
	}
	return false
}

// currentToken returns the token of the visitor's click, or "".
func (v *visit) currentToken(ctx context.Context) string {
	v.mu.Lock()
	token, known := v.token, v.resolved
	if !known {
		token, known = v.tracker.onlyToken(v.lines)
	}
	v.mu.Unlock()
	if !known {
		_, _ = v.lookup(ctx) // sets the token; the error is that of the click
		v.mu.Lock()
		defer v.mu.Unlock()
		token = v.token
	}
	return token
}

// unloadedToken returns the visitor's only token, before its click is loaded.
func (v *visit) unloadedToken() (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resolved || v.tracker == nil {
		return "", false
	}
	token, ok := v.tracker.onlyToken(v.lines)
	return token, ok && token != ""
}

// onlyToken returns the visitor's token if it is known without loading a click,
// which is the case for no token and for one that is well-formed.
func (t *Tracker) onlyToken(lines []string) (token string, ok bool) {
	for value := range t.jar.values(lines) {
		if t.checkToken(value) != nil || value == token {
			continue
		}
		if token != "" {
			return "", false
		}
		token = value
	}
	return token, true
}

func (v *visit) lookup(ctx context.Context) (Click, error) {
	c, noticed, err := v.resolve(ctx)
	// Without the lock, since a hook or a log handler may look up the click.
	for _, o := range noticed {
		v.tracker.observe(ctx, o)
	}
	return c, err
}

func (v *visit) resolve(ctx context.Context) (c Click, noticed []Observation, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.resolved {
		v.click, v.token, noticed, v.err = v.tracker.loadLatest(ctx, v.lines)
		v.resolved = true
	}
	return v.click, noticed, v.err
}

// fill sets the click of e to the visitor's. With later it sets the token, for
// a sender that resolves it, unless the click is known without a call of the
// store. A nil visit has no click.
func (v *visit) fill(ctx context.Context, e *Event, later bool) error {
	if v == nil {
		return missingTrace(ctx)
	}
	v.mu.Lock()
	known := v.resolved && v.err == nil
	if v.err != nil && !errors.Is(v.err, ErrNotFound) {
		v.resolved = false // retry a failed lookup for an order
	}
	v.mu.Unlock()
	if later && !known {
		if token := v.currentToken(ctx); token != "" && !v.tracker.loadsLocally(token) {
			e.ClickToken = token
			return nil
		}
	}
	click, err := v.lookup(ctx)
	if err != nil {
		return err
	}
	// With the token, an outbox can detect that the click was deleted.
	e.Click = click
	e.ClickToken = v.currentToken(ctx)
	return nil
}

// traceError is the absence of a click in a context that no tracker has seen.
type traceError struct{ reason string }

func (e *traceError) Error() string { return "clickid: no click found: " + e.reason }
func (e *traceError) Unwrap() error { return ErrNotFound }

var (
	errUntracked  = &traceError{"no tracker around this handler, or a GET page that needs Tracker.Context"}
	errNoVisitor  = &traceError{"not a visitor's request"}
	warnUntracked sync.Once
)

// missingTrace tells why ctx knows of no visitor. A missing tracker is logged
// once.
func missingTrace(ctx context.Context) error {
	if ctx.Value(http.ServerContextKey) == nil {
		return errNoVisitor
	}
	warnUntracked.Do(func() {
		slog.WarnContext(ctx, "clickid: Convert finds no visitor in the context of a request, so that the order counts as organic: wrap the handler with Tracker.Handler, and pass Tracker.Context(r) on a GET page")
	})
	return errUntracked
}

// change calls f with the lock.
func (v *visit) change(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

// settle sets the visitor's click to the result of this request's capture.
func (v *visit) settle(c Click, token string, landed bool) {
	v.change(func() { v.click, v.token, v.err, v.resolved, v.landed = c, token, nil, true, landed })
}

// grant records the visitor's consent and makes the next lookup search for a
// click. It affects contexts that already have the visit.
func (v *visit) grant() {
	v.change(func() {
		v.consent, v.asked = ConsentGranted, true
		if v.token == "" || v.err != nil {
			v.resolved = false
		}
	})
}

// forget records that there is no click.
func (v *visit) forget() {
	v.change(func() {
		v.consent, v.asked = ConsentDenied, true
		v.lines = nil
		v.click, v.token, v.err, v.resolved = Click{}, "", ErrNotFound, true
		v.landed, v.landedID, v.refusal = false, "", ""
	})
}

// currentConsent returns the visitor's consent.
func (v *visit) currentConsent() (consent Consent) {
	var asked bool
	v.change(func() { consent, asked = v.consent, v.asked })
	if asked {
		return consent
	}
	consent = v.tracker.Consent(v.request) // without the lock, since it is application code
	v.change(func() {
		if !v.asked {
			v.consent, v.asked = consent, true
		}
		consent = v.consent
	})
	return consent
}

// landing returns the click ID of this request's URL, or "", whether it is
// stored, and why the browser would refuse the cookie.
func (v *visit) landing() (id string, stored bool, refusal Reason) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.landedID, v.landed, v.refusal
}

// checkToken checks a token without calling the store.
func (t *Tracker) checkToken(token string) error { return checkToken(t.checker, token) }

// loadsLocally reports whether the store can load the click of a token without
// I/O.
func (t *Tracker) loadsLocally(token string) bool {
	if t.local == nil {
		return false
	}
	_, local, _ := t.local.loadLocally(token)
	return local
}

// maxLoads limits the store calls of a lookup. Browsers send several cookies of
// a name only if one was set for a parent domain or by a subdomain.
const maxLoads = 4

// loadLatest returns the latest valid click of the visitor's cookies, and its
// observations of the others. If a lookup fails, the result is its error and
// token, even if the others have no click.
func (t *Tracker) loadLatest(ctx context.Context, lines []string) (c Click, token string, noticed []Observation, err error) {
	var (
		failed  string
		failure error
		invalid bool
		loads   int
	)
	for value := range t.jar.values(lines) {
		if strings.HasPrefix(value, "!") {
			continue // a mark of an erasure
		}
		var took time.Duration
		loaded, err := t.load(ctx, value, &loads, &took)
		switch {
		case err == nil:
			if token == "" || loaded.At.After(c.At) {
				c, token = loaded, value
			}
		case errors.Is(err, ErrInvalid):
			invalid = true
		case !errors.Is(err, ErrNotFound):
			noticed = append(noticed, Observation{Kind: KindStoreError, Duration: took, Err: err})
			if failure == nil && t.checkToken(value) == nil {
				failed = value
			}
			failure = fmt.Errorf("clickid: loading the visitor's click: %w", err)
		}
	}
	if invalid {
		noticed = append(noticed, Observation{Kind: KindInvalidCookie})
	}
	switch {
	case token != "":
		return c, token, noticed, nil
	case failure != nil:
		return Click{}, failed, noticed, failure
	}
	return Click{}, "", noticed, ErrNotFound
}

// load returns the click of a token. loads counts the store calls; beyond the
// limit a token is unknown. took is set to the duration of the call.
func (t *Tracker) load(ctx context.Context, token string, loads *int, took *time.Duration) (Click, error) {
	if t.local != nil {
		if c, local, err := t.local.loadLocally(token); local {
			return c, err
		}
	}
	if err := t.checkToken(token); err != nil {
		return Click{}, err
	}
	if *loads++; *loads > maxLoads {
		return Click{}, ErrNotFound
	}
	ctx, cancel := t.storeContext(ctx)
	defer cancel()
	defer func(start time.Time) { *took = time.Since(start) }(time.Now())
	return t.store.Load(ctx, token)
}

// storeContext returns a context that limits the store calls of a step and
// outlives the visitor's connection.
func (t *Tracker) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	// Without the visit, since a log handler of the store that looks up the
	// click would deadlock.
	return detached(withoutVisit(ctx), t.timeout)
}

// jobFactor is the factor between the store timeout of a page and that of a job,
// which is 10 seconds by default.
const jobFactor = 40

// jobContext is storeContext with the longer timeout of a job if ctx is not that
// of a request.
func (t *Tracker) jobContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Value(http.ServerContextKey) != nil || visitFrom(ctx) != nil {
		return t.storeContext(ctx)
	}
	return detached(withoutVisit(ctx), jobFactor*t.timeout)
}

func withoutVisit(ctx context.Context) context.Context {
	//lint:ignore SA1029 some frameworks only find string keys in their contexts
	return context.WithValue(ctx, extending.ContextKey, nil)
}

// detached returns a context that ends after timeout or at ctx's deadline, but
// not when ctx is cancelled.
func detached(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	deadline := time.Now().Add(timeout)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	return context.WithDeadline(context.WithoutCancel(ctx), deadline)
}

// newClick returns a click that is captured now.
func (t *Tracker) newClick(r *http.Request, id, param string) Click {
	at := wholeSeconds(t.now())
	c := Click{ID: id, Param: param, At: at, Expires: at.Add(t.ttl.Truncate(time.Second))}
	if t.landingIP != nil {
		c.LandingIP, c.LandingUserAgent = t.landing(r)
	}
	return c
}

// landing returns address and user agent of the visitor, or neither.
func (t *Tracker) landing(r *http.Request) (ip, userAgent string) {
	defer t.reportPanic(r.Context(), "LandingIP")
	given, _ := visitor.IP(t.landingIP(r))
	if agent := visitor.UserAgent(origin.First(r.Header, "User-Agent")); given != "" && agent != "" {
		ip, userAgent = given, agent
	}
	return ip, userAgent
}

// tokens returns the well-formed tokens of the visitor: those of the cookies, up
// to the number of cookies that are read, and that of a click stored in this
// request.
func (v *visit) tokens() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var tokens []string
	if v.token != "" {
		tokens = append(tokens, v.token)
	}
	checked := 0
	for value := range v.tracker.jar.values(v.lines) {
		for token := range sentTokens(value) {
			if checked++; checked > maxCookies {
				return tokens
			}
			if v.tracker.checkToken(token) == nil && !slices.Contains(tokens, token) {
				tokens = append(tokens, token)
			}
		}
	}
	return tokens
}
