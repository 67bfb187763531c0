package clickid

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/clickid/clickid/internal/origin"
)

// Consent is a visitor's consent to the storage and use of the click. The zero
// value is unknown.
type Consent int

const (
	// ConsentUnknown means that the visitor has not decided yet. Nothing is
	// stored. The click can be stored later.
	ConsentUnknown Consent = iota
	// ConsentGranted means that the click may be stored and conversions may be
	// sent.
	ConsentGranted
	// ConsentDenied means that nothing is stored, a stored click is erased, and
	// no conversion is sent.
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

// MarshalText returns the text of String.
func (c Consent) MarshalText() ([]byte, error) {
	if c < ConsentUnknown || c > ConsentDenied {
		return nil, fmt.Errorf("clickid: consent %d must be unknown, granted or denied", int(c))
	}
	return []byte(c.String()), nil
}

// UnmarshalText parses the text of String. The empty text is unknown.
func (c *Consent) UnmarshalText(text []byte) error {
	switch string(text) {
	case "", "unknown":
		*c = ConsentUnknown
	case "granted":
		*c = ConsentGranted
	case "denied":
		*c = ConsentDenied
	default:
		return fmt.Errorf("clickid: consent must be unknown, granted or denied")
	}
	return nil
}

// ErrNoConsent means that nothing was stored or linked because the visitor has
// not consented.
var ErrNoConsent = errors.New("clickid: nothing is stored before the visitor consents")

// Consent returns the consent of r's visitor from [Config].Consent and Sec-GPC.
// It is unknown if Config.Consent panics, and denied while an erasure that
// failed waits to be repeated.
func (t *Tracker) Consent(r *http.Request) (consent Consent) {
	if t == nil {
		return ConsentUnknown
	}
	if t.deniedByGPC(r) || t.erasurePending(r.Header["Cookie"]) {
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

// RequiresConsent reports whether [Config].Consent is set. Senders with t as
// their [Resolver] then leave out the user identities of events whose consent is
// unknown.
func (t *Tracker) RequiresConsent() bool { return t != nil && t.consentOf != nil }

func (t *Tracker) deniedByGPC(r *http.Request) bool {
	return !t.ignoreGPC && origin.First(r.Header, "Sec-Gpc") == "1" // canonical form of Sec-GPC
}

// Remember stores a click for a visitor who has just consented, regardless of
// the result of [Config].Consent for this request. It returns the request with
// the click in its context. The attribution rule applies as for a landing.
//
// With an empty id, Remember takes the click of this request's URL or of its
// same-origin Referer, the landing page if the banner posts from there. If
// neither has one, the error matches [ErrNotFound].
//
// The error matches [ErrInvalid] for an id that is not accepted, and for a
// request from a page of another origin according to Sec-Fetch-Site or Origin.
// Pages within Cookie.Domain are of the same origin. It matches [ErrNoConsent]
// if the browser sends Sec-GPC: 1, since the next page would erase the click,
// unless [Config].IgnoreGPC is set. Other errors are those of the store.
//
// Call it before the header of the response is written.
func (t *Tracker) Remember(w http.ResponseWriter, r *http.Request, id string) (*http.Request, error) {
	if t == nil {
		return r, errNilTracker
	}
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
	if t.erasurePending(r.Header["Cookie"]) {
		if _, err := t.forget(w, r, v, ""); err != nil {
			return r, err
		}
	}
	v.grant()
	return r, t.keep(w, r, v, id, Observation{Param: param, Recovered: true})
}

// rememberable returns the click of the request that was not stored.
func (t *Tracker) rememberable(r *http.Request) (id, param string) {
	if f := t.params.Find(r.URL.RawQuery, t.accept); f.Value != "" {
		return f.Value, f.Param
	}
	return t.refererClick(r)
}

// fromOtherOrigin reports whether the browser reports a page of another origin.
func (t *Tracker) fromOtherOrigin(r *http.Request) bool {
	from := origin.First(r.Header, "Origin")
	switch origin.First(r.Header, "Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "same-site":
		if t.jar.domain == "" || from == "" {
			return true
		}
	case "cross-site":
		return true
	}
	if from == "" {
		return false
	}
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return true // also "null"
	}
	return !strings.EqualFold(u.Host, r.Host) && (t.jar.domain == "" || !origin.Covers(t.jar.domain, origin.Hostname(u.Host)))
}
