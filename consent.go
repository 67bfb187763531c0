package clickid

import "fmt"

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
