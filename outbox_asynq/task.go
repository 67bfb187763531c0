package asynqoutbox

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/clickid/clickid/outbox"
)

// encodeRecord returns a record as a task's payload.
func encodeRecord(r outbox.Record) ([]byte, error) {
	payload, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("clickid: the event cannot be stored as JSON: %w", err)
	}
	return payload, nil
}

func decodeRecord(payload []byte) (outbox.Record, error) {
	var r outbox.Record
	if err := json.Unmarshal(payload, &r); err != nil {
		return r, fmt.Errorf("clickid: the stored event is damaged: %w", err)
	}
	return r, nil
}

// deadTask is the payload of a dead letter.
type deadTask struct {
	Record   outbox.Record `json:"record"`
	Reason   string        `json:"reason"`
	Status   int           `json:"status,omitempty"`
	Attempts int           `json:"attempts"`
	FailedAt time.Time     `json:"failed_at"`
}
