package clickid

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/clickid/clickid/internal/query"
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
	if id, param, _ = query.Find(r.URL.RawQuery, t.params, t.accept); id != "" {
		return id, param
	}
	return refererClickID(r, t.params, t.accept)
}
