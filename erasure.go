package clickid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Forget removes everything that is kept of the visitor's click, for consent
// that is withdrawn: the cookie, the record, and every link to it. The
// request's context has no click afterwards, and counts as denied. The cookie
// is removed even when the store fails, which the error says.
//
// A token that the cookie store signed cannot be revoked: copies that the
// application kept with its orders remain valid until they expire.
//
// Call it before the response's header is written.
func (t *Tracker) Forget(w http.ResponseWriter, r *http.Request) error {
	v := t.visitOf(r.Context())
	if v == nil {
		v, _ = t.newVisit(r)
	}
	err := t.forget(w, r, v)
	t.observe(r.Context(), Observation{Kind: KindForgotten})
	return err
}

// deny serves a visitor who has denied consent.
func (t *Tracker) deny(w http.ResponseWriter, r *http.Request, v *visit, read reading) {
	if read.cookie {
		// The page is served whatever came of it; forget has reported a failure.
		_ = t.forget(w, r, v)
	} else {
		v.forget()
	}
	if read.cookie || read.present {
		t.observe(r.Context(), Observation{Kind: KindDenied})
	}
}

func (t *Tracker) forget(w http.ResponseWriter, r *http.Request, v *visit) error {
	t.jar.expire(w.Header())
	forbidCaching(w.Header())
	ctx, cancel := t.storeContext(r.Context())
	defer cancel()
	var failures []error
	for _, token := range v.tokens() {
		failures = append(failures, t.eraseToken(ctx, token))
	}
	v.forget()
	return t.reportErasure(r.Context(), failures)
}

// ForgetKey removes the click that the application linked to k, and every link
// to it, for an erasure without a visitor's request. A key without a link is
// not an error.
func (t *Tracker) ForgetKey(ctx context.Context, k Key) error {
	if err := t.checkLinkable(k); err != nil {
		return err
	}
	storeCtx, cancel := t.storeContext(ctx)
	defer cancel()
	token, err := t.linker.Linked(storeCtx, k)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	failures := []error{err}
	if err == nil {
		failures[0] = t.eraseToken(storeCtx, token)
	}
	return t.reportErasure(ctx, append(failures, t.linker.Unlink(storeCtx, k)))
}

// eraseToken removes a click and the links to it.
func (t *Tracker) eraseToken(ctx context.Context, token string) error {
	err := t.store.Delete(ctx, token)
	if t.linker == nil {
		return err
	}
	return errors.Join(err, t.linker.UnlinkToken(ctx, token))
}

func (t *Tracker) reportErasure(ctx context.Context, failures []error) error {
	err := errors.Join(failures...)
	if err == nil {
		return nil
	}
	t.observe(ctx, Observation{Kind: KindStoreError, Err: err})
	return fmt.Errorf("clickid: the store could not erase the click: %w", err)
}
