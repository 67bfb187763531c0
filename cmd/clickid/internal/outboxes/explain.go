package outboxes

import (
	"fmt"
	"strings"
	"time"

	"github.com/clickid/clickid/cmd/clickid/internal/terminal"
	"github.com/clickid/clickid/outbox"
)

// Explain describes the state of an event to an operator, and the next step.
func Explain(e outbox.Entry, now time.Time) string {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(terminal.Text(fmt.Sprintf(format, args...)) + "\n") }
	line("%s %s: %s", e.Type, outbox.VisibleID(e.EventID), e.State)
	if e.Attribution != "" {
		line("  attributed by  %s", e.Attribution)
	}
	if !e.QueuedAt.IsZero() {
		line("  queued         %s (%s ago)", e.QueuedAt.Format(time.RFC3339), now.Sub(e.QueuedAt).Round(time.Second))
	}
	if !e.EndedAt.IsZero() {
		line("  %-14s %s", e.State, e.EndedAt.Format(time.RFC3339))
	}
	if e.Reason != "" {
		line("  reason         %s", e.Reason)
	}
	for _, w := range e.Warnings {
		line("  warning        %s", w)
	}
	for _, a := range e.Attempts {
		line("  attempt        %s  %s", a.At.Format(time.RFC3339), response(a))
	}
	line("  next           %s", next(e))
	return b.String()
}

func response(a outbox.Attempt) string {
	switch {
	case a.Status == 0:
		return "no response"
	case a.Code != "":
		return fmt.Sprintf("%d %s", a.Status, a.Code)
	}
	return fmt.Sprint(a.Status)
}

// next is what the operator can do.
func next(e outbox.Entry) string {
	switch e.State {
	case outbox.StateDelivered:
		return "nothing; the platform has accepted it. Sending it again has no effect within the deduplication window"
	case outbox.StateSkipped:
		if strings.Contains(e.Reason, "consent") {
			return "send it again if the user consents; a skipped event does not occupy its ID"
		}
		return "find out where the click was lost, for example with clickid doctor; the event can be sent again with a click"
	case outbox.StateDeadLettered:
		return fmt.Sprintf("fix the reason, then: clickid outbox replay %s; or send the corrected event, then: clickid outbox discard %s", e.DeadLetterID, e.DeadLetterID)
	}
	switch {
	case e.Reason != "":
		return "if other events are refused alike, check API key, event source and dialect; it is sent again when another event is accepted"
	case len(e.Attempts) > 0:
		return "wait; it is sent again by itself until it exceeds the maximum event age"
	}
	return "wait; if it stays, check that the shop's process that delivers is running and that the platform is available"
}
