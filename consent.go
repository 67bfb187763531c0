package clickid

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
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

// Consent returns the decision of r's visitor, by [Config].Consent and Sec-GPC.
// It is unknown when Config.Consent panics.
func (t *Tracker) Consent(r *http.Request) (consent Consent) {
	if t.deniedByGPC(r) {
		return ConsentDenied
	}
	if t.consentOf == nil {
		return ConsentGranted
	}
	defer t.reportPanic(r.Context(), "Consent")
	switch consent := t.consentOf(r); consent {
	case ConsentGranted, ConsentDenied:
		return consent
	}
	return ConsentUnknown
}

// RequiresConsent reports whether [Config].Consent is set, so that a sender can
// tell whether events without a statement of consent need one.
func (t *Tracker) RequiresConsent() bool { return t != nil && t.consentOf != nil }

func (t *Tracker) deniedByGPC(r *http.Request) bool {
	return !t.ignoreGPC && first(r.Header, "Sec-Gpc") == "1" // as net/http spells Sec-GPC
}

// Remember stores a click for a visitor who has just consented, whatever
// [Config].Consent returns for this request, and returns the request with the
// click in its context. The attribution rule applies as on a landing.
//
// An empty id takes the click of this request's own landing or of its
// same-origin Referer, which is the landing page when the consent banner posts
// from there; when neither carries one, the error matches [ErrNotFound].
//
// An id that is not acceptable, and a request that a page of another origin
// caused, by Sec-Fetch-Site or Origin, is an error that matches [ErrInvalid].
// Pages within Cookie.Domain count as the same origin. A browser that sends
// Sec-GPC: 1 would have the click forgotten again on the next page, so that the
// error matches [ErrNoConsent] unless [Config].IgnoreGPC is set. A failing store
// is any other error.
//
// Call it before the response's header is written.
func (t *Tracker) Remember(w http.ResponseWriter, r *http.Request, id string) (*http.Request, error) {
	if t.fromOtherOrigin(r) {
		return r, fmt.Errorf("%w: a page of another origin cannot consent for the visitor", ErrInvalid)
	}
	if t.deniedByGPC(r) {
		return r, fmt.Errorf("%w: the browser sends Sec-GPC: 1", ErrNoConsent)
	}
	param := t.params.Names()[0]
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
		v, r = t.newVisit(r)
	}
	v.grant()
	return r, t.keep(w, r, v, id, Observation{Param: param, Recovered: true})
}

// rememberable returns the click that came with the request but was not
// stored.
func (t *Tracker) rememberable(r *http.Request) (id, param string) {
	if f := t.params.Find(r.URL.RawQuery, t.accept); f.Value != "" {
		return f.Value, f.Param
	}
	return t.refererClick(r)
}

// fromOtherOrigin reports whether the browser tells that a page of another
// origin caused the request.
func (t *Tracker) fromOtherOrigin(r *http.Request) bool {
	origin := first(r.Header, "Origin")
	switch first(r.Header, "Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "same-site":
		if t.jar.domain == "" || origin == "" {
			return true
		}
	case "cross-site":
		return true
	}
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return true // "null" too
	}
	return !strings.EqualFold(u.Host, r.Host) && (t.jar.domain == "" || !covers(t.jar.domain, hostname(u.Host)))
}
