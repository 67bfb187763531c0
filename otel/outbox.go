package clickidotel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/outbox"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Metadata is the Metadata of an outbox.Config. It keeps the trace context of a
// Send with its events.
func (t *Telemetry) Metadata(ctx context.Context) map[string]string {
	carrier := propagation.MapCarrier{}
	t.propagator.Inject(ctx, carrier)
	return carrier
}

// OnOutbox is the Hook of an outbox.Config. It counts outcomes, warnings and
// changes of state. The number of the platform's warnings is that of
// [Telemetry.OnAttempt]. The outcome of an event is also a span in the trace of
// its Send, from queueing to the outcome.
func (t *Telemetry) OnOutbox(ctx context.Context, o outbox.Observation) {
	kind := attribute.String("clickid.outcome", string(o.Kind))
	switch o.Kind {
	case outbox.KindDelivered, outbox.KindSkipped, outbox.KindDeadLetter:
		attributes := []attribute.KeyValue{kind, attribute.String("clickid.event.type", string(o.Type))}
		t.outcomes.Add(ctx, 1, metric.WithAttributes(attributes...))
		t.latency.Record(ctx, o.Latency.Seconds(), metric.WithAttributes(attributes...))
		if o.Duration > 0 {
			t.delivery.Record(ctx, o.Duration.Seconds(), metric.WithAttributes(attributes...))
		}
		t.recordOutcome(ctx, o, attributes)
	default:
		t.alerts.Add(ctx, 1, metric.WithAttributes(kind))
	}
}

// ofOrder returns ctx with the span of the Send of the event that is being
// delivered, if there is one.
func (t *Telemetry) ofOrder(ctx context.Context) context.Context {
	if metadata := outbox.MetadataFromContext(ctx); len(metadata) > 0 {
		return t.propagator.Extract(ctx, propagation.MapCarrier(metadata))
	}
	return ctx
}

// recordOutcome makes the span of an outcome.
func (t *Telemetry) recordOutcome(ctx context.Context, o outbox.Observation, attributes []attribute.KeyValue) {
	ctx = t.ofOrder(ctx)
	if o.EventID != "" && !t.hideEventIDs {
		attributes = append(attributes, attribute.String("clickid.event.id", o.EventID))
	}
	if o.Reason != "" {
		attributes = append(attributes, attribute.String("clickid.reason", o.Reason))
	}
	if o.Status != 0 {
		attributes = append(attributes, attribute.Int("http.response.status_code", o.Status))
	}
	end := time.Now()
	_, span := t.tracer.Start(ctx, "clickid.deliver", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithTimestamp(end.Add(-o.Latency)), trace.WithAttributes(attributes...))
	if o.Kind == outbox.KindDeadLetter {
		span.SetStatus(codes.Error, "dead letter")
	}
	span.End(trace.WithTimestamp(end))
}

// Statter is an outbox whose events can be counted.
type Statter interface {
	// Stats counts the events; see [outbox.Outbox].
	Stats(ctx context.Context) (outbox.Stats, error)
}

// watchTimeout bounds a count, so that a database that hangs does not hold up
// the export of other metrics.
const watchTimeout = 5 * time.Second

// Watch reports the numbers of an outbox whenever metrics are collected: queued,
// delivered, skipped and dead letters, and the age of the oldest queued event.
// The name distinguishes outboxes: watch each once, under its own name. A count
// ends after 5 seconds, and its error is that of the collection. stop ends the
// reports. The error is non-nil if ob is nil.
func (t *Telemetry) Watch(name string, ob Statter) (stop func() error, err error) {
	if ob == nil {
		return nil, errors.New("clickidotel: Watch needs an outbox; it is nil")
	}
	events, err1 := t.meter.Int64ObservableGauge("clickid.outbox.events", metric.WithUnit("{event}"), metric.WithDescription("Events of an outbox by state."))
	oldest, err2 := t.meter.Float64ObservableGauge("clickid.outbox.oldest_age", metric.WithUnit("s"), metric.WithDescription("Age of the oldest queued event."))
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("clickidotel: %w", err)
	}
	label := attribute.String("clickid.outbox.name", name)
	registration, err := t.meter.RegisterCallback(func(ctx context.Context, observer metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, watchTimeout)
		defer cancel()
		stats, err := ob.Stats(ctx)
		if err != nil {
			return fmt.Errorf("clickidotel: counting the events of an outbox: %w", err)
		}
		for state, n := range map[string]int{"queued": stats.Queued, "delivered": stats.Delivered, "skipped": stats.Skipped, "dead_letter": stats.DeadLetters} {
			observer.ObserveInt64(events, int64(n), metric.WithAttributes(label, attribute.String("clickid.outbox.state", state)))
		}
		observer.ObserveFloat64(oldest, stats.Oldest.Seconds(), metric.WithAttributes(label))
		return nil
	}, events, oldest)
	if err != nil {
		return nil, fmt.Errorf("clickidotel: %w", err)
	}
	return registration.Unregister, nil
}
