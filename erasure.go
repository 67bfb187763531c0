package clickid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErasureError is the error of an erasure that failed in part. Its text holds no
// token.
type ErasureError struct {
	// Tokens are those of the clicks that are left; call [Tracker.ForgetToken]
	// for each of them later.
	Tokens []string
	// Err is the error of the store or linker.
	Err error
}

func (e *ErasureError) Error() string {
	return "clickid: the store could not erase the click: " + e.Err.Error()
}

// Unwrap returns the error of the store or linker.
func (e *ErasureError) Unwrap() error { return e.Err }

// Format keeps the tokens out of every verb's output.
func (e *ErasureError) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(e.Error())) }

// Forget removes everything that is kept of the visitor's clicks, for consent
// that is withdrawn: the cookie, the record, every link to it, and the earlier
// clicks that it replaced. The request's context has no click afterwards, and
// counts as denied.
//
// When the store fails, the error is an [*ErasureError]. The cookie then keeps
// the tokens for another try: the visitor counts as denied, and the next page
// repeats the erasure. Without [Config].Consent, a withdrawal on the landing page
// replaces the cookie by one without a token, so that the Referer of the next
// page does not bring the click back.
//
// A token that the cookie store signed can be revoked only where the tracker has
// a linker, which keeps a list of the revoked tokens until they expire. Without
// one, copies that the application kept with its orders remain valid.
//
// Call it before the response's header is written.
func (t *Tracker) Forget(w http.ResponseWriter, r *http.Request) error {
	v := t.visitOf(r.Context())
	if v == nil {
		v, _ = t.newVisit(r)
	}
	mark := ""
	if id, _ := t.rememberable(r); id != "" && t.consentOf == nil {
		mark = markForgotten // or the next page's Referer brings the click back
	}
	err := t.forget(w, r, v, mark)
	t.observe(r.Context(), Observation{Kind: KindForgotten})
	return err
}

// ForgetKey removes the click that the application linked to k, every link to
// it, and the earlier clicks that it replaced, for an erasure without a
// visitor's request. A key without a link is
// not an error.
func (t *Tracker) ForgetKey(ctx context.Context, k Key) error {
	if err := t.checkLinkable(k); err != nil {
		return err
	}
	storeCtx, cancel := t.jobContext(ctx)
	defer cancel()
	token, err := t.linker.Linked(storeCtx, t.ownKey(k))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		if err = t.erase(storeCtx, token); err != nil {
			return t.erasureError(ctx, []string{token}, err) // the link stays, to find the rest by
		}
	}
	return t.erasureError(ctx, nil, errors.Join(err, t.linker.Unlink(storeCtx, t.ownKey(k))))
}

// ForgetToken removes the click of a token, every link to it, and the earlier
// clicks that it replaced. An unknown or expired token is not an error; the
// error matches [ErrInvalid] when the token is malformed.
func (t *Tracker) ForgetToken(ctx context.Context, token string) error {
	if !validToken(token) {
		return errMalformedToken
	}
	storeCtx, cancel := t.jobContext(ctx)
	defer cancel()
	if err := t.erase(storeCtx, token); err != nil {
		return t.erasureError(ctx, []string{token}, err)
	}
	return nil
}

// deny serves a visitor who has denied consent. Images and other parts of a page
// leave the erasure to the page.
func (t *Tracker) deny(w http.ResponseWriter, r *http.Request, v *visit, read reading) {
	if part := isPart(r); part && read.cookie {
		v.forget()
		return
	}
	if read.cookie && !t.onlyForgotten(v.lines) {
		// The page is served whatever came of it; forget has reported a failure.
		_ = t.forget(w, r, v, "")
	} else {
		v.forget()
	}
	if read.cookie || read.present {
		t.observe(r.Context(), Observation{Kind: KindDenied})
	}
}

// forget erases the visitor's clicks. The cookie keeps the tokens of those that
// are left, or gets the mark.
func (t *Tracker) forget(w http.ResponseWriter, r *http.Request, v *visit, mark string) error {
	ctx, cancel := t.storeContext(r.Context())
	defer cancel()
	var (
		left     []string
		failures []error
		loads    int
	)
	for _, token := range v.tokens() {
		if err := t.eraseKnown(ctx, token, &loads); err != nil {
			left, failures = append(left, token), append(failures, err)
		}
	}
	switch {
	case len(left) > 0:
		t.jar.set(w.Header(), pendingErasure(left), t.ttl)
	case mark != "":
		t.jar.set(w.Header(), mark, t.ttl)
	default:
		t.jar.expire(w.Header())
	}
	forbidCaching(w.Header())
	v.forget()
	return t.erasureError(r.Context(), left, errors.Join(failures...))
}

// eraseKnown erases the click of a visitor's token. Made-up tokens cost a
// bounded number of reads and nothing is written for them.
func (t *Tracker) eraseKnown(ctx context.Context, token string, loads *int) error {
	if !t.loadsLocally(token) {
		if *loads++; *loads > maxLoads {
			return nil
		}
		if _, err := t.store.Load(ctx, token); errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalid) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return t.erase(ctx, token)
}

// maxSuperseded bounds the earlier clicks that are followed.
const maxSuperseded = 100

// erase removes the click of a token and those that it replaced, the oldest
// first: what is left after a failure is still reachable from the token.
func (t *Tracker) erase(ctx context.Context, token string) error {
	tokens := []string{token}
	for t.linker != nil && len(tokens) < maxSuperseded {
		earlier, err := t.linker.Linked(ctx, supersededKey(tokens[len(tokens)-1]))
		if errors.Is(err, ErrNotFound) || slices.Contains(tokens, earlier) {
			break
		}
		if err != nil {
			return err
		}
		tokens = append(tokens, earlier)
	}
	for _, token := range slices.Backward(tokens) {
		if err := t.eraseOne(ctx, token); err != nil {
			return err
		}
	}
	return nil
}

// eraseOne removes a click and the links to it. The record goes last, so that a
// failure can be repeated.
func (t *Tracker) eraseOne(ctx context.Context, token string) error {
	if t.linker != nil && !t.ownLinks {
		if err := t.linker.UnlinkToken(ctx, token); err != nil {
			return err
		}
	}
	if err := t.store.Delete(ctx, token); err != nil {
		return err
	}
	if t.linker == nil || t.local == nil {
		return nil
	}
	// A signed token remains valid: the linker keeps a list of the revoked ones.
	c, local, err := t.local.loadLocally(token)
	if !local || err != nil {
		return nil
	}
	return t.linker.Link(ctx, revokedKey(token), token, c.Expires)
}

// revokedKey is where the linker keeps that a token was revoked.
func revokedKey(token string) Key { return newKey("revoked", token) }

// supersededKey is where the linker keeps the token that was replaced by token.
func supersededKey(token string) Key { return newKey("superseded", token) }

// checkRevoked returns ErrNotFound for a signed token that was revoked.
func (t *Tracker) checkRevoked(ctx context.Context, token string) error {
	if t.linker == nil {
		return nil
	}
	storeCtx, cancel := t.jobContext(ctx)
	defer cancel()
	_, err := t.linker.Linked(storeCtx, revokedKey(token))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil:
		return fmt.Errorf("%w: the token was revoked", ErrNotFound)
	}
	return t.lookupError(ctx, err)
}

// supersede links a replaced click to the one that replaces it, so that an
// erasure finds both.
func (t *Tracker) supersede(ctx context.Context, token, earlier string, expires time.Time) {
	if t.linker == nil || earlier == "" || earlier == token {
		return
	}
	if err := t.linker.Link(ctx, supersededKey(token), earlier, expires); err != nil {
		t.observe(ctx, Observation{Kind: KindStoreError, Err: err})
	}
}

func (t *Tracker) erasureError(ctx context.Context, left []string, err error) error {
	if err == nil {
		return nil
	}
	t.observe(ctx, Observation{Kind: KindStoreError, Err: err})
	return &ErasureError{Tokens: left, Err: err}
}

// Values of the cookie that are not a token. No token contains "!".
const (
	markForgotten = "!forgotten"
	markPending   = "!denied"
)

// pendingErasure returns the cookie's value of a visitor whose tokens are still
// to be erased.
func pendingErasure(tokens []string) string {
	value := markPending
	for _, token := range tokens {
		if len(value)+len(token) < maxCookieSize/2 || value == markPending {
			value += "!" + token
		}
	}
	return value
}

// pendingTokens returns the tokens in the value of a cookie that are still to be
// erased.
func pendingTokens(value string) ([]string, bool) {
	rest, ok := strings.CutPrefix(value, markPending)
	if !ok {
		return nil, false
	}
	return strings.Split(strings.TrimPrefix(rest, "!"), "!"), true
}

// erasurePending reports whether an erasure of the visitor's clicks has failed.
func (t *Tracker) erasurePending(lines []string) bool {
	for value := range t.jar.values(lines) {
		if strings.HasPrefix(value, markPending) {
			return true
		}
	}
	return false
}

// forgotten reports whether the visitor's clicks were erased on their wish.
func (t *Tracker) forgotten(lines []string) bool {
	for value := range t.jar.values(lines) {
		if value == markForgotten {
			return true
		}
	}
	return false
}

// onlyForgotten reports whether there is nothing to erase.
func (t *Tracker) onlyForgotten(lines []string) bool {
	for value := range t.jar.values(lines) {
		if value != markForgotten {
			return false
		}
	}
	return true
}
