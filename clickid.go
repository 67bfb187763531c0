package clickid

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clickid/clickid/internal/payload"
	"github.com/clickid/clickid/internal/query"
	"github.com/clickid/clickid/internal/text"
	"github.com/clickid/clickid/internal/ulid"
	"github.com/clickid/clickid/internal/visitor"
)

// MaxIDLength is the maximum length of a click ID in bytes.
const MaxIDLength = query.MaxValue

// futureTolerance is how far a signed time of another machine may be in the
// future. Only a machine of the site can have signed it, and a clock that is
// wrong by hours, as after a wrong time zone, must not cost the clicks of its
// visitors.
const futureTolerance = 24 * time.Hour

// Errors for [errors.Is].
var (
	// ErrNotFound means that there is no click: the visitor has none, or it has
	// expired or was deleted. After other errors of a lookup, the visitor
	// may have a click.
	ErrNotFound = errors.New("clickid: no click found")
	// ErrInvalid means that a token is forged, malformed or signed with an
	// unknown key, or that a click ID or a key is not valid.
	ErrInvalid = errors.New("clickid: invalid click or token")
)

// Click is a click on an ad that reached the site. The zero Click stands
// for no click.
type Click struct {
	// ID is the click ID from the URL, with 1 to 512 visible ASCII characters.
	// By default only those of [ValidID] are accepted.
	ID string `json:"id,omitempty"`
	// Param is the URL parameter of the ID, such as "clkid".
	Param string `json:"param,omitempty"`
	// At is the time of capture, in whole seconds and UTC.
	At time.Time `json:"at"`
	// Expires is the time of expiry, in whole seconds and UTC. It is set at the
	// capture and does not change.
	Expires time.Time `json:"expires"`
	// LandingIP and LandingUserAgent are those of the visitor at the capture,
	// if [Config].LandingIP is set.
	LandingIP        string `json:"landing_ip,omitempty"`
	LandingUserAgent string `json:"landing_user_agent,omitempty"`
}

// IsZero reports whether c is the zero Click.
func (c Click) IsZero() bool { return c.ID == "" }

// Issued returns the time at which the ad platform issued the click ID. A ULID
// contains it in its first ten characters. ok is false if the ID is not a ULID,
// or if the time is more than an hour after the capture or further before it
// than the longest TTL.
func (c Click) Issued() (issued time.Time, ok bool) {
	at, ok := ulid.Time(c.ID)
	if !ok || at.After(c.At.Add(time.Hour)) || at.Before(c.At.Add(-MaxTTL)) {
		return time.Time{}, false
	}
	return at, true
}

// Validate returns all problems that prevent c from being stored. The error
// matches [ErrInvalid].
func (c Click) Validate() error {
	var problems []error
	if !storableID(c.ID) {
		problems = append(problems, fmt.Errorf("%w: ID must be 1 to %d visible ASCII characters", ErrInvalid, MaxIDLength))
	}
	if !validParam(c.Param) {
		problems = append(problems, fmt.Errorf("%w: Param must be 1 to %d characters of [A-Za-z0-9._~-]", ErrInvalid, maxParamLength))
	}
	if c.At.IsZero() || c.Expires.IsZero() {
		problems = append(problems, fmt.Errorf("%w: At and Expires are required", ErrInvalid))
	} else if c.Expires.Unix() <= c.At.Unix() {
		problems = append(problems, fmt.Errorf("%w: Expires must be after At, by whole seconds", ErrInvalid))
	}
	if ip, _ := visitor.IP(c.LandingIP); c.LandingIP != ip || c.LandingUserAgent != visitor.UserAgent(c.LandingUserAgent) {
		problems = append(problems, fmt.Errorf("%w: LandingIP must be an address and LandingUserAgent one line of at most %d characters", ErrInvalid, visitor.MaxUserAgent))
	}
	return errors.Join(problems...)
}

// Format prints the click without its ID, also for %+v.
func (c Click) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "clickid.Click %v", c.LogValue()) }

// LogValue returns the click without its ID, since that is personal data.
func (c Click) LogValue() slog.Value {
	if c.IsZero() {
		return slog.StringValue("none")
	}
	return slog.GroupValue(slog.String("param", c.Param), slog.Time("at", c.At), slog.Time("expires", c.Expires))
}

// ValidID is the default of [Config].Accept. It reports whether id has 1 to 512
// characters of [A-Za-z0-9._~-], the unreserved characters of RFC 3986. The
// platform does not document a narrower form; see [IsULID] for its current one.
func ValidID(id string) bool { return text.Unreserved(id, MaxIDLength) }

// storableID reports whether id can be stored, regardless of [Config].Accept.
func storableID(id string) bool { return text.Graphic(id, MaxIDLength) }

// maxParamLength limits the name of a parameter, since it is stored with every
// click.
const maxParamLength = 64

func validParam(name string) bool { return text.Unreserved(name, maxParamLength) }

// IsULID reports whether id is a ULID: 26 characters of Crockford's base32
// (digits and letters without I, L, O, U, in either case) with a value of at
// most 128 bits. Set [Config].Accept to it to refuse other click IDs.
func IsULID(id string) bool { return ulid.Valid(id) }

// MarshalBinary encodes c in a compact, versioned form, for a [Store] that
// keeps it as one value. It encodes any click that [Click.Validate] accepts,
// with times in whole seconds.
func (c Click) MarshalBinary() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return payload.Append(nil, payload.Click(c)), nil
}

// UnmarshalBinary decodes the result of MarshalBinary. The error matches
// [ErrInvalid].
func (c *Click) UnmarshalBinary(b []byte) error {
	decoded, ok := payload.Decode(b)
	read := Click(decoded)
	if !ok || read.Validate() != nil {
		return fmt.Errorf("%w: the version of the stored click is unknown", ErrInvalid)
	}
	*c = read
	return nil
}
