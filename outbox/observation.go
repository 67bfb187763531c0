package outbox

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/clickid/clickid"
)

// Observation is one thing that happened to an outbox. It holds no click, no
// identity of a user and no other personal value.
type Observation struct {
	// Kind is what happened.
	Kind Kind
	// Type and EventID are the event's, where one event is concerned. An ID that
	// holds an e-mail address is given as [VisibleID] returns it;
	// [Config].HideEventIDs leaves it empty.
	Type    clickid.EventType
	EventID string
	// Reason says why, in words for an operator.
	Reason string
	// Status is the platform's last HTTP status, or 0, and Code its own code.
	Status int
	Code   string
	// Warnings and MatchQuality are what the platform remarked on events that it
	// accepted, with KindWarning.
	Warnings     []string
	MatchQuality *float64
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
	// KindStillUnavailable: the platform has been unavailable for a tenth of the
	// maximum event age, and for every further tenth.
	KindStillUnavailable Kind = "platform still unavailable"
	// KindConfigurationRefused: the platform refuses every request as such: a
	// wrong key, path, data set or event source. Nothing is lost, but an operator
	// must act. It is observed when it begins, and every ten minutes while it
	// lasts. Where the configuration is only suspected, since the platform refuses
	// twenty events alike or has never accepted one, it is repeated after each
	// tenth of the maximum event age.
	KindConfigurationRefused Kind = "configuration refused"
	// KindPlatformRecovered: requests are accepted again.
	KindPlatformRecovered Kind = "platform recovered"
	// KindWarning: the platform has accepted events with a warning. The hook is
	// called for all of them; the log has each warning once in ten minutes.
	KindWarning Kind = "warning"
	// KindRecordLost: the queue has lost an event, such as by an eviction or a
	// failover. It is a dead letter without its event.
	KindRecordLost Kind = "record lost"
	// KindStorageReplaced: the queue's server has been restarted or replaced, and
	// may have lost events that it had acknowledged.
	KindStorageReplaced Kind = "storage replaced"
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
	case KindConfigurationRefused, KindStillUnavailable, KindDeadLetter, KindRecordLost, KindStorageReplaced:
		return slog.LevelError
	case KindWarning, KindPlatformUnavailable, KindLookupsFailing, KindRelayFailing, KindNewerVersion:
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

// Observe reports what a queue itself observes, to hook and log.
func (d *Delivery) Observe(ctx context.Context, o Observation) { d.observe(ctx, o) }

// observe calls the hook and logs.
func (r observer) observe(ctx context.Context, o Observation) {
	r.call(ctx, o)
	r.log(ctx, o)
}

// call calls the hook. A panic of it must not end the process.
func (r observer) call(ctx context.Context, o Observation) {
	if r.hook == nil {
		return
	}
	defer func() {
		if recover() != nil {
			r.logger.ErrorContext(ctx, "outbox: the Hook panicked", "stack", string(debug.Stack()))
		}
	}()
	r.hook(ctx, o)
}

func (r observer) log(ctx context.Context, o Observation) {
	level := o.Kind.level()
	if !r.logger.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("type", string(o.Type))
	text("event_id", o.EventID)
	text("reason", o.Reason)
	if o.Status != 0 {
		attrs = append(attrs, slog.Int("status", o.Status))
	}
	text("code", o.Code)
	if len(o.Warnings) > 0 {
		attrs = append(attrs, slog.Any("warnings", o.Warnings))
	}
	if o.MatchQuality != nil {
		attrs = append(attrs, slog.Float64("match_quality", *o.MatchQuality))
	}
	if o.Latency != 0 {
		attrs = append(attrs, slog.Duration("latency", o.Latency))
	}
	if o.Err != nil {
		attrs = append(attrs, slog.Any("error", o.Err))
	}
	r.logger.LogAttrs(ctx, level, "outbox: "+string(o.Kind), attrs...)
}
