package clickid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Consent is what a visitor said about the storage and use of the ad click.
// The zero value is unknown.
type Consent int

const (
	// ConsentUnknown: the visitor has not answered yet. Nothing is stored; the
	// click can still be captured later.
	ConsentUnknown Consent = iota
	// ConsentGranted: the click may be stored and conversions may be sent.
	ConsentGranted
	// ConsentDenied: nothing is stored, what was stored is forgotten, and no
	// conversion is sent.
	ConsentDenied
)

// String returns "unknown", "granted" or "denied".
func (c Consent) String() string {
	switch c {
	case ConsentUnknown:
		return "unknown"
	case ConsentGranted:
		return "granted"
	case ConsentDenied:
		return "denied"
	}
	return fmt.Sprintf("Consent(%d)", int(c))
}

// MarshalText writes the text of String.
func (c Consent) MarshalText() ([]byte, error) {
	if c < ConsentUnknown || c > ConsentDenied {
		return nil, fmt.Errorf("clickid: consent %d is none of unknown, granted and denied", int(c))
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads the text of String; the empty text is unknown.
func (c *Consent) UnmarshalText(text []byte) error {
	switch string(text) {
	case "", "unknown":
		*c = ConsentUnknown
	case "granted":
		*c = ConsentGranted
	case "denied":
		*c = ConsentDenied
	default:
		return fmt.Errorf("clickid: consent is none of unknown, granted and denied")
	}
	return nil
}

// ErrNoConsent says that nothing is stored or linked, since the visitor has not
// agreed to it.
var ErrNoConsent = errors.New("clickid: nothing is stored before the visitor consents")

// Consent returns what the visitor of r said, by [Config].Consent and Sec-GPC.
// [Convert] knows it only of visitors with a click; an event that is sent by
// the person's identity instead states it in [Event].Consent.
func (t *Tracker) Consent(r *http.Request) Consent {
	if t.deniedByGPC(r) {
		return ConsentDenied
	}
	if t.consentOf == nil {
		return ConsentGranted
	}
	switch consent := t.consentOf(r); consent {
	case ConsentGranted, ConsentDenied:
		return consent
	}
	return ConsentUnknown
}

func (t *Tracker) deniedByGPC(r *http.Request) bool {
	return !t.ignoreGPC && r.Header.Get("Sec-Gpc") == "1" // as net/http spells Sec-GPC; another spelling costs an allocation
}

// Remember stores a click for a visitor who has just consented, whatever
// [Config].Consent says of this request, and returns the request with the
// click in its context. The attribution rule applies as on a landing.
//
// An empty id takes the click of this request's own landing or of its
// same-origin Referer, which is the landing page when the consent banner posts
// from there; when neither carries one, the error matches [ErrNotFound]. An id
// that is not acceptable, or a request from another site (Sec-Fetch-Site), is
// an error that matches [ErrInvalid]. A browser that sends Sec-GPC: 1 would
// have the click forgotten again on the next page, so that the error matches
// [ErrNoConsent] unless [Config].IgnoreGPC is set. A failing store is any other
// error.
//
// Call it before the response's header is written.
func (t *Tracker) Remember(w http.ResponseWriter, r *http.Request, id string) (*http.Request, error) {
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return r, fmt.Errorf("%w: another site cannot consent for the visitor", ErrInvalid)
	}
	if t.deniedByGPC(r) {
		return r, fmt.Errorf("%w: the browser sends Sec-GPC: 1", ErrNoConsent)
	}
	param := t.params[0]
	if id == "" {
		id, param = t.rememberable(r)
	}
	if id == "" {
		return r, ErrNotFound
	}
	if !t.accept(id) {
		return r, fmt.Errorf("%w: the click ID to remember is not acceptable", ErrInvalid)
	}
	v := t.visitOf(r.Context())
	if v == nil {
		r, v = t.newVisit(r, ConsentGranted)
	}
	v.grant()
	return r, t.keep(w, r, v, id, Observation{Param: param, Recovered: true})
}

// rememberable returns the click that came with the request but was not
// stored.
func (t *Tracker) rememberable(r *http.Request) (id, param string) {
	if id, param, _ = findClickID(r.URL.RawQuery, t.params, t.accept); id != "" {
		return id, param
	}
	return refererClickID(r, t.params, t.accept)
}

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
		_, v = t.newVisit(r, ConsentDenied)
	}
	err := t.forget(w, r, v)
	t.observe(r.Context(), Observation{Kind: Forgotten})
	return err
}

// deny serves a visitor who has denied consent.
func (t *Tracker) deny(w http.ResponseWriter, r *http.Request, v *visit, hasCookie, carried bool) {
	if hasCookie {
		// The page is served whatever came of it; forget has reported a failure.
		_ = t.forget(w, r, v)
	} else {
		v.forget()
	}
	if hasCookie || carried {
		t.observe(r.Context(), Observation{Kind: Denied})
	}
}

func (t *Tracker) forget(w http.ResponseWriter, r *http.Request, v *visit) error {
	t.jar.expire(w.Header())
	forbidCaching(w.Header())
	ctx, cancel := t.storeContext(r.Context())
	defer cancel()
	var failures []error
	for _, token := range v.tokens() {
		if t.checkToken(token) == nil {
			failures = append(failures, t.eraseToken(ctx, token))
		}
	}
	v.forget()
	return t.reportErasure(r.Context(), failures)
}

// ForgetKey removes the click that the application linked to k, and every link
// to it, for an erasure without a visitor's request. A key without a link is
// no error.
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
	t.observe(ctx, Observation{Kind: StoreError, Err: err})
	return fmt.Errorf("clickid: the store could not erase the click: %w", err)
}
