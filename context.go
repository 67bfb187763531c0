package clickid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/clickid/clickid/internal/extending"
)

// visit is what a request's context knows of the visitor's click. The click is
// decoded or loaded on the first look-up and kept for the rest of the request.
type visit struct {
	tracker *Tracker // nil when the click was put there by WithClick

	mu       sync.Mutex
	consent  Consent
	lines    []string // the Cookie headers, read when the click is asked for
	resolved bool     // click, token and err are final
	click    Click
	token    string // of the click, or of one that the store could not load; "" when it is not stored
	err      error
	landed   bool // the click of this request's URL is stored
}

func withVisit(ctx context.Context, v *visit) context.Context {
	//lint:ignore SA1029 a key of another type cannot be found in the contexts of some frameworks
	return context.WithValue(ctx, extending.ContextKey, v)
}

func visitFrom(ctx context.Context) *visit {
	v, _ := ctx.Value(extending.ContextKey).(*visit)
	return v
}

// visitOf returns what ctx knows of t's own click, or nil.
func (t *Tracker) visitOf(ctx context.Context) *visit {
	if v := visitFrom(ctx); v != nil && v.tracker == t {
		return v
	}
	return nil
}

// newVisit returns r with a visit of its own.
func (t *Tracker) newVisit(r *http.Request, consent Consent) (*http.Request, *visit) {
	v := &visit{tracker: t, consent: consent, lines: r.Header["Cookie"]}
	return r.WithContext(withVisit(r.Context(), v)), v
}

// cookies returns the tokens that the visitor sent, unverified.
func (v *visit) cookies() []string {
	if len(v.lines) == 0 {
		return nil
	}
	return v.tracker.jar.values(v.lines)
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
	v := &visit{consent: ConsentGranted, resolved: true, click: c}
	if c.IsZero() {
		v.err = ErrNotFound
	}
	return withVisit(ctx, v)
}

// Token returns the token of the visitor's click: what to keep with an order
// or in a payment's metadata, so that [Tracker.Resolve] finds the click where
// there is no visitor. Its form, and its signature where it has one, are
// checked; the store is not asked. It is at most [MaxTokenLength] bytes of
// [A-Za-z0-9._~-]. It reports false when there is no token, which includes a
// click that could not be stored.
func Token(ctx context.Context) (string, bool) {
	v := visitFrom(ctx)
	if v == nil {
		return "", false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.currentToken()
}

// currentToken is Token with the lock held.
func (v *visit) currentToken() (string, bool) {
	if v.resolved {
		return v.token, v.token != ""
	}
	for _, token := range v.cookies() {
		if v.tracker.checkToken(token) == nil {
			return token, true
		}
	}
	return "", false
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
		v.click, v.token, noticed, v.err = v.tracker.loadFirst(ctx, v.cookies())
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
	token, ok := v.currentToken()
	if v.err != nil && !errors.Is(v.err, ErrNotFound) {
		v.resolved = false // an order is worth asking again
	}
	v.mu.Unlock()
	if later && ok && !known && !v.tracker.loadsLocally(token) {
		e.ClickToken = token
		return nil
	}
	click, err := v.lookup(ctx)
	if err != nil {
		return err
	}
	// Beside the click, the token tells an outbox whether the click was deleted
	// in the meantime.
	e.Click = click
	e.ClickToken, _ = Token(ctx)
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
	v.consent = ConsentGranted
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
	v.consent = ConsentDenied
	v.lines = nil
	v.click, v.token, v.err, v.resolved, v.landed = Click{}, "", ErrNotFound, true, false
}

func (v *visit) currentConsent() Consent {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.consent
}

// checkToken checks a token without asking the store.
func (t *Tracker) checkToken(token string) error { return checkToken(t.checker, token) }

// loadsLocally reports whether the store loads the click of a token without
// input or output.
func (t *Tracker) loadsLocally(token string) bool {
	local, ok := t.store.Store.(interface{ loadsLocally(token string) bool })
	return ok && local.loadsLocally(token)
}

// loadFirst returns the first valid click among the visitor's tokens, and what
// it noticed of the others. A failed look-up of one outweighs the proven
// absence of the others, and leaves its token to ask again with.
func (t *Tracker) loadFirst(ctx context.Context, tokens []string) (c Click, token string, noticed []Observation, err error) {
	ctx, cancel := t.storeContext(ctx)
	defer cancel()
	failed, failure := "", error(nil)
	for _, token := range tokens {
		if !validToken(token) {
			noticed = append(noticed, Observation{Kind: KindInvalidCookie})
			continue
		}
		c, err := t.store.Load(ctx, token)
		switch {
		case err == nil:
			return c, token, noticed, nil
		case errors.Is(err, ErrInvalid):
			noticed = append(noticed, Observation{Kind: KindInvalidCookie})
		case !errors.Is(err, ErrNotFound):
			noticed = append(noticed, Observation{Kind: KindStoreError, Err: err})
			if failure == nil && t.checkToken(token) == nil {
				failed = token
			}
			failure = fmt.Errorf("clickid: the store could not load the visitor's click: %w", err)
		}
	}
	if failure != nil {
		return Click{}, failed, noticed, failure
	}
	return Click{}, "", noticed, ErrNotFound
}

// storeContext bounds the calls of a store that one step makes, and lets them
// survive the visitor leaving.
func (t *Tracker) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	// The store's own log handler must not ask for the click that is being
	// looked up: it would wait for itself.
	return detached(withVisit(ctx, nil), t.timeout)
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

// tokens returns every token that the visitor has: those of the cookies, and
// that of a click stored in this request.
func (v *visit) tokens() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	tokens := v.cookies()
	if v.token != "" && !slices.Contains(tokens, v.token) {
		tokens = append(tokens, v.token)
	}
	return tokens
}
