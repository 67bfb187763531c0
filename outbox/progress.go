package outbox

import (
	"slices"
	"time"
)

// Progress is the result of the earlier deliveries of a record. It contains no
// personal data.
type Progress struct {
	// Responses is the number of the platform's verdicts on the event. A client
	// derives a new idempotency key from it.
	Responses int `json:"responses,omitempty"`
	// Hold is set while the event waits after a provisional refusal.
	Hold *Hold `json:"hold,omitempty"`
	// Attempts are the latest failed requests, at most ten, the oldest first.
	Attempts []Attempt `json:"attempts,omitempty"`
}

// Hold is the first provisional refusal of an event that waits until another
// event is accepted.
type Hold struct {
	// At is the time of the refusal, in UTC, and Code the platform's error code.
	At   time.Time `json:"at"`
	Code string    `json:"code,omitempty"`
}

// Attempt is a request that did not deliver the event.
type Attempt struct {
	// At is the time of the response or failure, in UTC.
	At time.Time `json:"at"`
	// Status is the platform's HTTP status, or 0 without a response.
	Status int `json:"status,omitempty"`
	// Code is the platform's error code, such as "VALIDATION_ERROR", or "". It is
	// that of an optional method ErrorCode of the error; see [clickid.SendError].
	Code string `json:"code,omitempty"`
}

const maxAttempts = 10

// with returns p with another attempt.
func (p Progress) with(a Attempt) Progress {
	kept := p.Attempts[max(0, len(p.Attempts)-maxAttempts+1):]
	p.Attempts = append(slices.Clone(kept), a)
	return p
}
