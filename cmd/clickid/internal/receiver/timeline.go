package receiver

import (
	"time"

	"github.com/clickid/clickid/clickidtest"
)

// minute counts the events of a minute.
type minute struct {
	At        int64 `json:"at"` // Unix seconds of its start
	Accepted  int   `json:"accepted"`
	Rejected  int   `json:"rejected"` // refused or not processed
	Duplicate int   `json:"duplicate"`
}

// timeline has the minutes of the last day in which events arrived.
type timeline []minute

const day = 24 * time.Hour

func (t *timeline) add(e *Entry) {
	if e.Kind != kindEvent {
		return
	}
	at := e.At.Truncate(time.Minute).Unix()
	// A request that took longer than others belongs to an earlier minute.
	i := len(*t)
	for i > 0 && (*t)[i-1].At > at {
		i--
	}
	if i == 0 || (*t)[i-1].At != at {
		*t = append(*t, minute{})
		copy((*t)[i+1:], (*t)[i:])
		(*t)[i] = minute{At: at}
		i++
	}
	switch m := &(*t)[i-1]; e.Verdict {
	case string(clickidtest.OutcomeAccepted):
		m.Accepted++
	case string(clickidtest.OutcomeDuplicate):
		m.Duplicate++
	default:
		m.Rejected++
	}
	for (*t)[0].At <= (*t)[len(*t)-1].At-int64(day.Seconds()) {
		*t = (*t)[1:]
	}
}

// since returns the minutes from a time on.
func (t timeline) since(at int64) timeline {
	i := len(t)
	for i > 0 && t[i-1].At >= at {
		i--
	}
	return append(timeline{}, t[i:]...)
}
