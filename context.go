package clickid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/clickid/clickid/internal/extending"
)

// visit is a request's context that knows the visitor's click and consent. The
// click is decoded or loaded on the first look-up and kept for the rest of the
// request; the consent is asked for when it matters.
type visit struct {
	context.Context
	tracker *Tracker // nil when the click was put there by WithClick
	main    *visit   // what Lookup and Convert use: of several trackers in one chain the outermost

	mu       sync.Mutex
	request  *http.Request // to ask for the consent, or nil once it is known
	consent  Consent
	lines    []string // the Cookie headers, read when the click is asked for
	resolved bool     // click, token and err are final
	click    Click
	token    string // of the click, or of one that the store could not load; "" when it is not stored
	err      error
	landed   bool   // the click of this request's URL is stored
	landedID string // the click ID of this request's URL
}

// Value returns the visit itself where it is asked for.
func (v *visit) Value(key any) any {
	switch key {
	case extending.ContextKey:
		return v.main
	case trackerKey{v.tracker}:
		return v
	}
	return v.Context.Value(key)
}

// trackerKey finds a tracker's own visit among those of several trackers.
type trackerKey struct{ *Tracker }

// Format keeps click and token out of every verb's output.
func (v *visit) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "clickid.visit") }

func visitFrom(ctx context.Context) *visit {
	v, _ := ctx.Value(extending.ContextKey).(*visit)
	return v
}

// visitOf returns the visit of t in ctx, or nil.
func (t *Tracker) visitOf(ctx context.Context) *visit {
	if v := visitFrom(ctx); v == nil || v.tracker == t {
		return v
	}
	v, _ := ctx.Value(trackerKey{t}).(*visit)
	return v
}

// newVisit returns r with a visit of its own.
func (t *Tracker) newVisit(r *http.Request) (*visit, *http.Request) {
	ctx := r.Context()
	v := &visit{Context: ctx, tracker: t, request: r, lines: r.Header["Cookie"]}
	v.main = v
	if outer := visitFrom(ctx); outer != nil && outer.tracker != nil {
		v.main = outer
	}
	return v, r.WithContext(v)
}

// Context returns r's context with the visitor's click and consent, for a GET
// page that creates an order: on pages without a click the tracker leaves no
// trace of the consent in the context.
func (t *Tracker) Context(r *http.Request) context.Context {
	if t.visitOf(r.Context()) != nil {
		return r.Context()
	}
	v, _ := t.newVisit(r)
	return v
}

// Lookup returns the visitor's click. It is decoded or loaded on the first
// call and remembered for the rest of the request.
//
// [ErrNotFound] is a proven absence: the visitor has no valid click, or ctx
// belongs to no request that a [Tracker] has seen. Any other error means that
// the store could not tell.
func Lookup(ctx context.Context) (Click, error) {
	v := visitFrom(ctx)
	if v == nil {
		return Click{}, ErrNotFound
	}
	return v.lookup(ctx)
}

// FromContext returns the visitor's click, for callers who do not care why
// there is none.
func FromContext(ctx context.Context) (Click, bool) {
	c, err := Lookup(ctx)
	return c, err == nil
}

// WithClick returns a context that carries c, for webhooks, workers and tests.
// The zero Click stands for a proven absence.
func WithClick(ctx context.Context, c Click) context.Context {
	v := &visit{Context: ctx, consent: ConsentGranted, resolved: true, click: c}
	v.main = v
	if c.IsZero() {
		v.err = ErrNotFound
	}
	return v
}

// Token returns the token of the visitor's click: what to keep with an order
// or in a payment's metadata, so that [Tracker.Resolve] finds the click where
// there is no visitor. Its form, and its signature where it has one, are
// checked; the store is asked only when the browser sent several.
//
// It reports false when there is no token, which includes a click that could
// not be stored, and a visitor without consent, as [Convert] skips the event
// then. It also reports false, and returns the token, when it is longer than
// the 500 characters that payment providers take; [KindLongToken] tells so at
// the capture. That happens with click IDs of more than 200 characters in a
// cookie store.
func Token(ctx context.Context) (string, bool) {
	v := visitFrom(ctx)
	if v == nil || !v.permits() {
		return "", false
	}
	token := v.currentToken(ctx)
	return token, token != "" && len(token) <= metadataLength
}

// permits reports whether the visitor's consent lets conversions be sent.
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
		_, _ = v.lookup(ctx) // finds the token; the error is that of the click
		v.mu.Lock()
		defer v.mu.Unlock()
		token = v.token
	}
	return token
}

// onlyToken returns the visitor's token where that is known without loading a
// click: there is none, or one that is well-formed.
func (t *Tracker) onlyToken(lines []string) (token string, ok bool) {
	for value := range t.jar.values(lines) {
		if t.checkToken(value) != nil {
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
	// Not under the lock: a hook or a log handler may ask for the click.
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

// fill puts the visitor's click into e. With later it puts the token there and
// leaves the look-up to the sender, unless the click is known without asking
// the store. A nil visit has no click.
func (v *visit) fill(ctx context.Context, e *Event, later bool) error {
	if v == nil {
		return ErrNotFound
	}
	v.mu.Lock()
	known := v.resolved && v.err == nil
	if v.err != nil && !errors.Is(v.err, ErrNotFound) {
		v.resolved = false // an order is worth asking again
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
	// Beside the click, the token tells an outbox whether the click was deleted
	// in the meantime.
	e.Click = click
	e.ClickToken = v.currentToken(ctx)
	return nil
}

// settle makes the outcome of this request's own capture the visitor's click.
func (v *visit) settle(c Click, token string, landed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.click, v.token, v.err, v.resolved, v.landed = c, token, nil, true, landed
}

// grant records the visitor's consent, and that a click which is not stored
// has to be looked for again. Contexts that already carry the visit see what
// follows.
func (v *visit) grant() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.consent, v.request = ConsentGranted, nil
	if v.token == "" || v.err != nil {
		v.resolved = false
	}
}

// stored records the token of a click that was stored after the capture.
func (v *visit) stored(token string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.token = token
}

// forget makes the absence of a click certain.
func (v *visit) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.consent, v.request = ConsentDenied, nil
	v.lines = nil
	v.click, v.token, v.err, v.resolved, v.landed, v.landedID = Click{}, "", ErrNotFound, true, false, ""
}

// currentConsent returns the visitor's consent, and asks for it the first time.
func (v *visit) currentConsent() Consent {
	v.mu.Lock()
	r := v.request
	v.mu.Unlock()
	if r != nil {
		consent := v.tracker.Consent(r) // not under the lock: it is the application's
		v.mu.Lock()
		if v.request != nil {
			v.consent, v.request = consent, nil
		}
		v.mu.Unlock()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.consent
}

// lands records that the URL of this request carries a click.
func (v *visit) lands(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.landedID = id
}

// landing returns the click ID of this request's URL, or "", and whether the
// click is stored.
func (v *visit) landing() (id string, stored bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.landedID, v.landed
}

// checkToken checks a token without asking the store.
func (t *Tracker) checkToken(token string) error { return checkToken(t.checker, token) }

// loadsLocally reports whether the store loads the click of a token without
// input or output.
func (t *Tracker) loadsLocally(token string) bool {
	if t.local == nil {
		return false
	}
	_, local, _ := t.local.loadLocally(token)
	return local
}

// maxLoads bounds the loads of one look-up that ask the store. Browsers send
// more than one cookie of a name only when one was set for a parent domain, or
// planted by a subdomain.
const maxLoads = 4

// loadLatest returns the latest valid click among the visitor's cookies, and
// what it noticed of the others. A failed look-up of one outweighs the proven
// absence of the others, and leaves its token to ask again with.
func (t *Tracker) loadLatest(ctx context.Context, lines []string) (c Click, token string, noticed []Observation, err error) {
	var (
		failed  string
		failure error
		invalid bool
		loads   int
	)
	for value := range t.jar.values(lines) {
		loaded, err := t.load(ctx, value, &loads)
		switch {
		case err == nil:
			if token == "" || loaded.At.After(c.At) {
				c, token = loaded, value
			}
		case errors.Is(err, ErrInvalid):
			invalid = true
		case !errors.Is(err, ErrNotFound):
			noticed = append(noticed, Observation{Kind: KindStoreError, Err: err})
			if failure == nil && t.checkToken(value) == nil {
				failed = value
			}
			failure = fmt.Errorf("clickid: the store could not load the visitor's click: %w", err)
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

// load returns the click of a token of the visitor. loads counts the loads that
// ask the store; beyond the bound a token counts as unknown.
func (t *Tracker) load(ctx context.Context, token string, loads *int) (Click, error) {
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
	return t.store.Load(ctx, token)
}

// storeContext bounds the calls of a store that one step makes, and lets them
// survive the visitor leaving.
func (t *Tracker) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	// The store's own log handler must not ask for the click that is being
	// looked up: it would wait for itself.
	return detached(withoutVisit(ctx), t.timeout)
}

// jobFactor is how much longer than a page a job waits for the store: 10 seconds
// by default.
const jobFactor = 40

// jobContext is storeContext for calls that may be made without a page that
// waits.
func (t *Tracker) jobContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Value(http.ServerContextKey) != nil || visitFrom(ctx) != nil {
		return t.storeContext(ctx)
	}
	return detached(withoutVisit(ctx), jobFactor*t.timeout)
}

func withoutVisit(ctx context.Context) context.Context {
	//lint:ignore SA1029 a key of another type cannot be found in the contexts of some frameworks
	return context.WithValue(ctx, extending.ContextKey, nil)
}

// detached returns a context that ends after timeout or with ctx's deadline,
// but not when ctx is cancelled.
func detached(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	deadline := time.Now().Add(timeout)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	return context.WithDeadline(context.WithoutCancel(ctx), deadline)
}

// newClick builds the click that was captured now.
func (t *Tracker) newClick(id, param string) Click {
	at := wholeSeconds(t.now())
	return Click{ID: id, Param: param, At: at, Expires: at.Add(t.ttl.Truncate(time.Second))}
}

// hasLanded reports whether the click in this request's URL is stored.
func (v *visit) hasLanded() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.landed
}

func (v *visit) markLanded(landed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.landed = landed
}

// tokens returns every well-formed token that the visitor has: those of the
// cookies, and that of a click stored in this request.
func (v *visit) tokens() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var tokens []string
	if v.token != "" {
		tokens = append(tokens, v.token)
	}
	for token := range v.tracker.jar.values(v.lines) {
		if v.tracker.checkToken(token) == nil && !slices.Contains(tokens, token) {
			tokens = append(tokens, token)
		}
	}
	return tokens
}
