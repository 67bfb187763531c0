package outbox

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/clickid/clickid"
)

// Observation is an event in the life of an outbox, for monitoring. It contains
// no click, no user identity and no other personal data.
type Observation struct {
	// Kind is the kind of the observation.
	Kind Kind
	// Type and EventID are those of the event. They are empty if the observation
	// does not concern one event. An ID that contains an e-mail address has the
	// form of [VisibleID]. [Config].HideEventIDs leaves the ID empty.
	Type    clickid.EventType
	EventID string
	// Reason is a description for the operator, or "".
	Reason string
	// Status is the platform's last HTTP status, or 0, and Code its error code, or
	// "".
	Status int
	Code   string
	// Warnings and MatchQuality are those of the platform's response, with
	// KindWarning. Both may be nil.
	Warnings     []string
	MatchQuality *float64
	// Latency is the time from queueing until the event was delivered, skipped or
	// dead-lettered. It is 0 for other observations.
	Latency time.Duration
	// Duration is the time of the last delivery of the event: of the lookups and
	// of the request, including the wait for the events that share it. It is 0 if
	// the event was not sent, such as one that validation refuses, and for other
	// observations.
	Duration time.Duration
	// Err is the cause of an outage or alert, or nil.
	Err error
}

// Kind is the kind of an [Observation].
type Kind string

const (
	// KindDelivered means that the platform has accepted the event.
	KindDelivered Kind = "delivered"
	// KindSkipped means that the event is organic or without consent and was
	// not sent.
	KindSkipped Kind = "skipped"
	// KindDeadLetter means that the event is not sent until an operator replays
	// it.
	KindDeadLetter Kind = "dead letter"
	// KindPlatformUnavailable means that requests fail or that the platform
	// asks to wait. It is probed until it recovers.
	KindPlatformUnavailable Kind = "platform unavailable"
	// KindStillUnavailable means that the platform has been unavailable for a
	// tenth of the maximum event age. It is repeated after every further tenth.
	KindStillUnavailable Kind = "platform still unavailable"
	// KindConfigurationRefused means that the platform refuses all events:
	// because of a wrong key, path, data set or event source. No event is lost,
	// but an operator must act. It is repeated every ten minutes. If the
	// configuration is only suspected, because the platform refuses twenty
	// events with the same code or has never accepted one, it is repeated after
	// each tenth of the maximum event age.
	KindConfigurationRefused Kind = "configuration refused"
	// KindPlatformRecovered means that the platform accepts events again.
	KindPlatformRecovered Kind = "platform recovered"
	// KindWarning means that the platform has accepted events with a warning, or
	// that a relay has found an event that is already known with other contents.
	// The hook is called for every warning of the platform. The log contains
	// each of them once in ten minutes.
	KindWarning Kind = "warning"
	// KindRecordLost means that the queue has lost an event, for example by an
	// eviction or a failover. A dead letter without the event remains.
	KindRecordLost Kind = "record lost"
	// KindRequeued means that the queue has forgotten events, for example after
	// a failover, and that the relay has enqueued them again. No event is lost,
	// but some may be sent twice; the platform counts an ID once.
	KindRequeued Kind = "requeued"
	// KindStorageReplaced means that the queue's server was restarted or
	// replaced and may have lost acknowledged events.
	KindStorageReplaced Kind = "storage replaced"
	// KindLookupsFailing means that the click store or the Consent function
	// fails. The events that need it wait.
	KindLookupsFailing Kind = "lookups failing"
	// KindLookupsRecovered means that the lookups work again.
	KindLookupsRecovered Kind = "lookups recovered"
	// KindNewerVersion means that an event of a newer version of the library
	// waits for an instance that can read it. It is repeated every ten minutes.
	KindNewerVersion Kind = "newer version"
	// KindOtherDestination means that events of another destination are in the
	// queue. They wait for an instance that has it.
	KindOtherDestination Kind = "other destination"
	// KindMiddlewareFailing means that a hook or middleware of the application,
	// around the jobs of a queue, fails. An event waits if that happens before its
	// delivery. Otherwise it keeps the outcome of its delivery. It is repeated
	// every ten minutes.
	KindMiddlewareFailing Kind = "middleware failing"
	// KindRelayFailing means that the relay cannot move events from the table
	// to the queue. They stay in the table.
	KindRelayFailing Kind = "relay failing"
	// KindRelayRecovered means that the relay works again.
	KindRelayRecovered Kind = "relay recovered"
)

// level returns the level of the log record.
func (k Kind) level() slog.Level {
	switch k {
	case KindConfigurationRefused, KindStillUnavailable, KindDeadLetter, KindRecordLost, KindStorageReplaced, KindMiddlewareFailing:
		return slog.LevelError
	case KindWarning, KindPlatformUnavailable, KindLookupsFailing, KindRelayFailing, KindRequeued, KindNewerVersion, KindOtherDestination:
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

// Observe reports an observation of a queue to hook and log.
func (d *Delivery) Observe(ctx context.Context, o Observation) { d.observe(ctx, o) }

// observe calls the hook and logs.
func (r observer) observe(ctx context.Context, o Observation) {
	r.call(ctx, o)
	r.log(ctx, o)
}

// call calls the hook and recovers from its panic.
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
	if o.Duration != 0 {
		attrs = append(attrs, slog.Duration("duration", o.Duration))
	}
	if o.Err != nil {
		attrs = append(attrs, slog.Any("error", o.Err))
	}
	r.logger.LogAttrs(ctx, level, "outbox: "+string(o.Kind), attrs...)
}
