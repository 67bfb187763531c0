package outbox

import (
	"context"
	"log/slog"
	"time"

	"github.com/clickid/clickid"
)

// Observation is one thing that happened to an outbox. It holds no personal
// value: no event ID, no click, no identity.
type Observation struct {
	// Kind is what happened.
	Kind Kind
	// Type is the event's, where one event is concerned.
	Type clickid.EventType
	// Reason says why, in words for an operator.
	Reason string
	// Status is the platform's last HTTP status, or 0.
	Status int
	// Latency is how long the event waited from when it was queued until it
	// was delivered, skipped or dead-lettered.
	Latency time.Duration
	// Err is the cause of an outage or alert.
	Err error
}

// Kind names what happened to an outbox.
type Kind string

const (
	// KindDelivered: the platform has the event.
	KindDelivered Kind = "delivered"
	// KindSkipped: the event turned out to be organic or without consent, and was
	// not sent.
	KindSkipped Kind = "skipped"
	// KindDeadLetter: the event will not be sent until an operator replays it.
	KindDeadLetter Kind = "dead letter"
	// KindPlatformUnavailable: the platform fails or asks to wait; it is probed until it
	// is back.
	KindPlatformUnavailable Kind = "platform unavailable"
	// KindConfigurationRefused: the platform refuses every request as such: a
	// wrong key, path, data set or event source. Nothing is lost, but somebody
	// must act. It is observed when it begins, and every ten minutes while it
	// lasts.
	KindConfigurationRefused Kind = "configuration refused"
	// KindPlatformRecovered: requests are accepted again.
	KindPlatformRecovered Kind = "platform recovered"
	// KindLookupsFailing: the store of the clicks or the Consent function fails;
	// the events that need it wait.
	KindLookupsFailing Kind = "look-ups failing"
	// KindLookupsRecovered: they work again.
	KindLookupsRecovered Kind = "look-ups recovered"
	// KindNewerVersion: an event was queued by a newer version of the library and
	// waits for an instance that can read it. Observed every ten minutes while
	// it lasts.
	KindNewerVersion Kind = "newer version"
	// KindRelayFailing: the relay cannot move events from the table to the queue;
	// they stay in the table.
	KindRelayFailing Kind = "relay failing"
	// KindRelayRecovered: it works again.
	KindRelayRecovered Kind = "relay recovered"
)

// level returns how loud the log is about it.
func (k Kind) level() slog.Level {
	switch k {
	case KindConfigurationRefused, KindDeadLetter:
		return slog.LevelError
	case KindPlatformUnavailable, KindLookupsFailing, KindRelayFailing, KindNewerVersion:
		return slog.LevelWarn
	case KindPlatformRecovered, KindLookupsRecovered, KindRelayRecovered:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// observer reports to hook and log.
type observer struct {
	hook   func(context.Context, Observation)
	logger *slog.Logger
}

func (r observer) observe(ctx context.Context, o Observation) {
	if r.hook != nil {
		r.hook(ctx, o)
	}
	level := o.Kind.level()
	if !r.logger.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 5)
	if o.Type != "" {
		attrs = append(attrs, slog.String("type", string(o.Type)))
	}
	if o.Reason != "" {
		attrs = append(attrs, slog.String("reason", o.Reason))
	}
	if o.Status != 0 {
		attrs = append(attrs, slog.Int("status", o.Status))
	}
	if o.Latency != 0 {
		attrs = append(attrs, slog.Duration("latency", o.Latency))
	}
	if o.Err != nil {
		attrs = append(attrs, slog.Any("error", o.Err))
	}
	r.logger.LogAttrs(ctx, level, "outbox: "+string(o.Kind), attrs...)
}
