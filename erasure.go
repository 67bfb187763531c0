package clickid

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
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

// Error returns the cause.
func (e *ErasureError) Error() string {
	return "clickid: the store could not erase the click: " + e.Err.Error()
}

// Unwrap returns the error of the store or linker.
func (e *ErasureError) Unwrap() error { return e.Err }

// Format prints Error for every verb. It does not print the tokens.
func (e *ErasureError) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(e.Error())) }

// Forget erases the visitor's clicks: the cookie, the stored click, the earlier
// clicks that it replaced, and all their links. The visitor's consent counts as
// denied for the rest of the request.
//
// The error is an [*ErasureError] if the store or linker fails. The visitor's
// consent then counts as denied until the next page repeats the erasure.
//
// Tokens of a cookie store are only revoked with [Config].Linker. Without it,
// tokens that the application has stored remain valid.
//
// Call it before the header of the response is written.
func (t *Tracker) Forget(w http.ResponseWriter, r *http.Request) error {
	if t == nil {
		return errNilTracker
	}
	v := t.visitOf(r.Context())
	if v == nil {
		v, _ = t.newVisit(r)
	}
	mark := ""
	if id, _ := t.rememberable(r); id != "" && t.consentOf == nil {
		mark = markForgotten // or the next page takes the click from its Referer
	}
	took, err := t.forget(w, r, v, mark)
	if err == nil {
		t.observe(r.Context(), Observation{Kind: KindForgotten, Duration: took})
	}
	return err
}

// ForgetKey erases the clicks of k, for an erasure without a visitor's request:
// the linked click, those that were linked to k before it on other devices, the
// earlier clicks that they replaced, and all their links. It returns nil for a
// key without a link.
func (t *Tracker) ForgetKey(ctx context.Context, k Key) error {
	if err := t.checkLinkable(k); err != nil {
		return err
	}
	storeCtx, cancel := t.jobContext(ctx)
	defer cancel()
	k, start := t.ownKey(k), time.Now()
	tokens, err := t.tokensOf(storeCtx, k)
	if errors.Is(err, ErrInvalid) { // the key does not open its link
		err = errors.Join(err, t.linker.Unlink(storeCtx, k))
	}
	if err != nil {
		return t.erasureError(ctx, start, nil, err)
	}
	return t.eraseAll(ctx, storeCtx, tokens)
}

// ForgetToken erases the click of a token, the earlier clicks that it replaced,
// and all their links. It returns nil for an unknown or expired token. The error
// matches [ErrInvalid] if the token is malformed.
func (t *Tracker) ForgetToken(ctx context.Context, token string) error {
	if t == nil {
		return errNilTracker
	}
	if !validToken(token) {
		return errMalformedToken
	}
	storeCtx, cancel := t.jobContext(ctx)
	defer cancel()
	return t.eraseAll(ctx, storeCtx, []string{token})
}

// eraseAll erases the clicks of tokens. The links to those that are left stay for
// the next try.
func (t *Tracker) eraseAll(ctx, storeCtx context.Context, tokens []string) error {
	start := time.Now()
	var left []string
	var failures []error
	for _, token := range tokens {
		if err := t.erase(storeCtx, token); err != nil {
			left, failures = append(left, token), append(failures, err)
		}
	}
	return t.erasureError(ctx, start, left, errors.Join(failures...))
}

// deny serves a visitor who has denied consent. Images and other parts of a page
// leave the erasure to the page.
func (t *Tracker) deny(w http.ResponseWriter, r *http.Request, v *visit, read reading) {
	if part := isPart(r); part && read.cookie {
		v.forget()
		return
	}
	o := Observation{Kind: KindDenied}
	if read.cookie && !t.onlyForgotten(v.lines) {
		// The page is served whatever came of it; forget has reported a failure.
		o.Duration, _ = t.forget(w, r, v, "")
	} else {
		v.forget()
	}
	if read.cookie || read.present {
		t.observe(r.Context(), o)
	}
}

// forget erases the visitor's clicks. The cookie keeps the tokens of those that
// are left, or gets the mark. It returns the time of the erasure.
func (t *Tracker) forget(w http.ResponseWriter, r *http.Request, v *visit, mark string) (time.Duration, error) {
	ctx, cancel := t.storeContext(r.Context())
	defer cancel()
	start := time.Now()
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
		t.jar.set(w.Header(), pendingErasure(left))
	case mark != "":
		t.jar.set(w.Header(), mark)
	default:
		t.jar.expire(w.Header())
	}
	forbidCaching(w.Header())
	v.forget()
	return time.Since(start), t.erasureError(r.Context(), start, left, errors.Join(failures...))
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

// eraseOne deletes a click and the links to it. These lead to the click in the
// next try after a failure, and are deleted last.
func (t *Tracker) eraseOne(ctx context.Context, token string) error {
	if err := t.revoke(ctx, token); err != nil {
		return err
	}
	if err := t.store.Delete(ctx, token); err != nil {
		return err
	}
	if t.linker == nil || t.ownLinks {
		return nil // Delete has deleted the links
	}
	return t.linker.UnlinkToken(ctx, token)
}

// revoke adds a signed token to the linker's list of revoked tokens.
func (t *Tracker) revoke(ctx context.Context, token string) error {
	if t.linker == nil || t.local == nil {
		return nil
	}
	c, local, err := t.local.loadLocally(token)
	if !local || err != nil {
		return nil
	}
	k := revokedKey(token)
	// Not a link to the token, since UnlinkToken would delete it.
	return t.linker.Link(ctx, k, hex.EncodeToString(k.hash[:]), c.Expires)
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
	start := time.Now()
	_, err := t.linker.Linked(storeCtx, revokedKey(token))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil:
		return fmt.Errorf("%w: the token was revoked", ErrNotFound)
	}
	return t.lookupError(ctx, start, err)
}

// maxHistory limits the earlier clicks of a key that are remembered.
const maxHistory = 16

// historyKey is where the linker keeps one of the tokens that were linked to k.
// The seal makes it as secret as the value of k.
func historyKey(k Key, i int) Key {
	return newKey("history", fmt.Sprintf("%x %d", k.seal, i))
}

// link links token to k with a linker. It remembers the token that it replaces,
// for example that of another device, so that ForgetKey finds both clicks.
func (t *Tracker) link(ctx context.Context, linker Linker, k Key, token string, expires time.Time) error {
	earlier, err := linker.Linked(ctx, k)
	if err == nil && earlier != token {
		err = t.rememberLink(ctx, linker, k, token, earlier)
	}
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrInvalid) {
		return err
	}
	return linker.Link(ctx, k, token, expires)
}

func (t *Tracker) rememberLink(ctx context.Context, linker Linker, k Key, token, earlier string) error {
	if linked, err := linker.Linked(ctx, supersededKey(token)); err == nil && linked == earlier {
		return nil // an erasure of the new click finds it
	}
	for i := 0; ; i++ {
		place := historyKey(k, i)
		known, err := linker.Linked(ctx, place)
		switch {
		case err == nil && known == earlier:
			return nil
		case errors.Is(err, ErrNotFound) || i == maxHistory-1:
			return linker.Link(ctx, place, earlier, t.now().Add(t.ttl))
		case err != nil:
			return err
		}
	}
}

// tokensOf returns all tokens that are or were linked to k.
func (t *Tracker) tokensOf(ctx context.Context, k Key) (tokens []string, err error) {
	places := []Key{k}
	for i := range maxHistory {
		places = append(places, historyKey(k, i))
	}
	for _, place := range places {
		token, err := t.linker.Linked(ctx, place)
		switch {
		case err == nil:
			tokens = append(tokens, token)
		case !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	return tokens, nil
}

// supersede links a replaced click to the one that replaces it, so that an
// erasure finds both.
func (t *Tracker) supersede(ctx context.Context, token, earlier string, expires time.Time) {
	storeCtx, cancel := t.storeContext(ctx)
	defer cancel()
	start := time.Now()
	if err := t.linker.Link(storeCtx, supersededKey(token), earlier, expires); err != nil {
		t.observeFailure(ctx, start, err)
	}
}

func (t *Tracker) erasureError(ctx context.Context, start time.Time, left []string, err error) error {
	if err == nil {
		return nil
	}
	t.observeFailure(ctx, start, err)
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

// sentTokens yields the token of a cookie, or those that are still to be erased.
func sentTokens(value string) iter.Seq[string] {
	if rest, ok := strings.CutPrefix(value, markPending); ok {
		return strings.SplitSeq(strings.TrimPrefix(rest, "!"), "!")
	}
	return slices.Values([]string{value})
}

// erasurePending reports whether an erasure of the visitor's clicks has failed.
func (t *Tracker) erasurePending(lines []string) bool {
	for _, line := range lines {
		if strings.Contains(line, markPending) { // rare, and cheaper than reading the cookies
			return t.jar.contains(lines, func(value string) bool { return strings.HasPrefix(value, markPending) })
		}
	}
	return false
}

// forgotten reports whether the visitor has withdrawn consent.
func (t *Tracker) forgotten(lines []string) bool {
	return t.jar.contains(lines, func(value string) bool { return value == markForgotten })
}

// onlyForgotten reports whether there is nothing to erase.
func (t *Tracker) onlyForgotten(lines []string) bool {
	return !t.jar.contains(lines, func(value string) bool { return value != markForgotten })
}
