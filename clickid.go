package clickid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clickid/clickid/internal/query"
	"github.com/clickid/clickid/internal/text"
	"github.com/clickid/clickid/internal/ulid"
)

// MaxIDLength is the largest click ID that is accepted, in bytes.
const MaxIDLength = query.MaxValue

// futureTolerance is how far a time that we did not set ourselves may lie in
// the future: clocks of different machines differ by minutes, not by more.
const futureTolerance = 5 * time.Minute

// Errors that callers tell apart with [errors.Is].
var (
	// ErrNotFound says that there is no click: the visitor has none, or it
	// expired or was deleted. It is a proven absence; any other error of a
	// look-up leaves the question open.
	ErrNotFound = errors.New("clickid: no click found")
	// ErrInvalid says that a token is forged, malformed or signed with an
	// unknown key, or that a click ID or a key is not acceptable.
	ErrInvalid = errors.New("clickid: invalid click or token")
)

// Click is one ad click that reached the site. The zero Click is no click.
type Click struct {
	// ID is the click ID from the URL, 1 to 512 visible ASCII characters; see
	// [ValidID] for those that are accepted by default.
	ID string `json:"id,omitempty"`
	// Param is the URL parameter the ID came in, such as "clkid".
	Param string `json:"param,omitempty"`
	// At is when the click was captured, with a precision of seconds, in UTC.
	At time.Time `json:"at"`
	// Expires is when the click stops counting, with a precision of seconds,
	// in UTC. It is fixed at the capture and does not slide.
	Expires time.Time `json:"expires"`
}

// IsZero reports whether c is no click.
func (c Click) IsZero() bool { return c.ID == "" }

// Issued returns the time at which the ad platform issued the click ID, which
// a ULID carries in its first ten characters. It reports false when the ID is
// not a ULID, and when that time cannot be true: more than an hour after the
// capture, or further before it than the longest TTL.
func (c Click) Issued() (time.Time, bool) {
	at, ok := ulid.Time(c.ID)
	if !ok || at.After(c.At.Add(time.Hour)) || at.Before(c.At.Add(-MaxTTL)) {
		return time.Time{}, false
	}
	return at, true
}

// Validate reports everything that keeps c from being stored. The error
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
	return errors.Join(problems...)
}

// Format prints the click without its ID, whatever the verb, so that %+v keeps
// it out of logs and errors too.
func (c Click) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "clickid.Click %v", c.LogValue()) }

// LogValue keeps the click ID out of logs: it belongs to a person.
func (c Click) LogValue() slog.Value {
	if c.IsZero() {
		return slog.StringValue("none")
	}
	return slog.GroupValue(slog.String("param", c.Param), slog.Time("at", c.At), slog.Time("expires", c.Expires))
}

// ValidID reports whether id is accepted as a click ID by default: 1 to 512
// characters of [A-Za-z0-9._~-], the unreserved characters of RFC 3986. The
// platform promises nothing narrower; see [IsULID] for the form it uses today.
func ValidID(id string) bool { return text.Unreserved(id, MaxIDLength) }

// storableID reports whether id can be a click ID at all, also where
// [Config].Accept takes more than [ValidID].
func storableID(id string) bool { return text.Graphic(id, MaxIDLength) }

// maxParamLength bounds a parameter's name: it is stored with every click.
const maxParamLength = 64

func validParam(name string) bool { return text.Unreserved(name, maxParamLength) }

// IsULID reports whether id is a ULID: 26 characters of Crockford's base32
// (digits and letters without I, L, O, U, in either case) that fit 128 bits.
// Use it as [Config].Accept to refuse every other click ID.
func IsULID(id string) bool { return ulid.Valid(id) }

// payloadVersion begins every payload: a byte that no later layout repeats.
const payloadVersion = 1

// encodePayload writes a click compactly: version, capture time in seconds,
// lifetime in seconds, length of the parameter, parameter, ID.
func encodePayload(c Click) []byte {
	b := make([]byte, 0, 16+len(c.Param)+len(c.ID))
	b = append(b, payloadVersion)
	b = binary.AppendVarint(b, c.At.Unix())
	b = binary.AppendVarint(b, c.Expires.Unix()-c.At.Unix())
	b = append(b, byte(len(c.Param)))
	b = append(b, c.Param...)
	return append(b, c.ID...)
}

func decodePayload(b []byte) (Click, bool) {
	if len(b) == 0 || b[0] != payloadVersion {
		return Click{}, false
	}
	b = b[1:]
	at, n := binary.Varint(b)
	if n <= 0 {
		return Click{}, false
	}
	b = b[n:]
	lifetime, n := binary.Varint(b)
	if n <= 0 || n == len(b) {
		return Click{}, false
	}
	length := int(b[n])
	b = b[n+1:]
	if length > len(b) {
		return Click{}, false
	}
	names := string(b) // one allocation for both
	return Click{
		Param:   names[:length],
		ID:      names[length:],
		At:      time.Unix(at, 0).UTC(),
		Expires: time.Unix(at+lifetime, 0).UTC(),
	}, true
}

// MarshalBinary writes c compactly in a versioned form, for a [Store] that keeps
// it as one value. It writes what [Click.Validate] accepts, with times in whole
// seconds.
func (c Click) MarshalBinary() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return encodePayload(c), nil
}

// UnmarshalBinary reads what MarshalBinary wrote. The error matches
// [ErrInvalid].
func (c *Click) UnmarshalBinary(b []byte) error {
	read, ok := decodePayload(b)
	if !ok || read.Validate() != nil {
		return fmt.Errorf("%w: the stored click is of no known version", ErrInvalid)
	}
	*c = read
	return nil
}
