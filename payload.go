package clickid

import (
	"encoding/binary"
	"fmt"
	"time"
)

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
	return Click{
		Param:   string(b[:length]),
		ID:      string(b[length:]),
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
