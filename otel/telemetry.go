// Package clickidotel reports captures, conversions and deliveries to
// OpenTelemetry: metrics, and spans that follow an order from the checkout
// through the outbox to the response of the platform.
//
//	telemetry, err := clickidotel.New(clickidotel.Config{})
//	…
//	tracker, err := clickid.New(clickid.Config{Store: telemetry.Store(store), Hook: telemetry.OnCapture})
//	client, err := capi.New(capi.Config{…, Hook: telemetry.OnAttempt})
//	ob, err := riveroutbox.New(driver, riveroutbox.Config{Delivery: outbox.Config{
//		Destination: client, Metadata: telemetry.Metadata, Hook: telemetry.OnOutbox,
//	}})
//	stop, err := telemetry.Watch("orders", ob)
//	…
//	result, err := clickid.Convert(ctx, telemetry.Sender(ob.In(tx)), event)
//
// Names follow the conventions of OpenTelemetry: durations are in seconds, and
// attributes have few values. No attribute contains a click ID, a token or a
// user identity. Event IDs are attributes of spans, but not of metrics.
// docs/telemetry.md lists the metrics and spans.
package clickidotel

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the instrumentation.
const scope = "github.com/clickid/clickid/otel"

// Config configures a [Telemetry]. The zero value uses the global providers.
type Config struct {
	// MeterProvider makes the instruments. Defaults to the global one.
	MeterProvider metric.MeterProvider
	// TracerProvider makes the spans. Defaults to the global one.
	TracerProvider trace.TracerProvider
	// Propagator passes the trace context through an outbox. Defaults to
	// propagation.TraceContext.
	Propagator propagation.TextMapPropagator
	// HideEventIDs omits event IDs from spans. Defaults to false.
	HideEventIDs bool
}

// Telemetry has the hooks for trackers, clients and outboxes. Several of them
// may share it. It is safe for concurrent use. Use [New].
type Telemetry struct {
	tracer       trace.Tracer
	meter        metric.Meter
	propagator   propagation.TextMapPropagator
	hideEventIDs bool
	instruments
}

// instruments are the metrics that hooks record.
type instruments struct {
	captures        metric.Int64Counter
	captureDuration metric.Float64Histogram
	storeDuration   metric.Float64Histogram
	conversions     metric.Int64Counter
	sendDuration    metric.Float64Histogram
	attemptDuration metric.Float64Histogram
	warnings        metric.Int64Counter
	matchQuality    metric.Float64Histogram
	outcomes        metric.Int64Counter
	latency         metric.Float64Histogram
	delivery        metric.Float64Histogram
	alerts          metric.Int64Counter
	difference      metric.Float64Gauge
}

// New returns a telemetry. The error joins those of the instruments.
func New(cfg Config) (*Telemetry, error) {
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.Propagator == nil {
		cfg.Propagator = propagation.TraceContext{}
	}
	t := &Telemetry{
		tracer:       cfg.TracerProvider.Tracer(scope),
		meter:        cfg.MeterProvider.Meter(scope),
		propagator:   cfg.Propagator,
		hideEventIDs: cfg.HideEventIDs,
	}
	if err := t.createInstruments(); err != nil {
		return nil, fmt.Errorf("clickidotel: %w", err)
	}
	return t, nil
}

// latencyBuckets reach from a fast delivery to one after an outage of days.
var latencyBuckets = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600, 3 * 24 * 3600}

// callBuckets are those that OpenTelemetry advises for HTTP requests.
var callBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func (t *Telemetry) createInstruments() error {
	var problems []error
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := t.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		problems = append(problems, err)
		return c
	}
	histogram := func(name, unit, description string, buckets []float64) metric.Float64Histogram {
		h, err := t.meter.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(buckets...))
		problems = append(problems, err)
		return h
	}
	t.captures = counter("clickid.capture.observations", "{observation}", "Observations of trackers by outcome.")
	t.captureDuration = histogram("clickid.capture.duration", "s", "Time of the store's calls behind an observation of a tracker, which a page waits for.", callBuckets)
	t.storeDuration = histogram("clickid.store.operation.duration", "s", "Duration of the operations of a click store.", callBuckets)
	t.conversions = counter("clickid.conversion.events", "{event}", "Events given to a sender, by verdict.")
	t.sendDuration = histogram("clickid.send.duration", "s", "Duration of a Send to a client or an outbox, which an order waits for.", callBuckets)
	t.attemptDuration = histogram("clickid.client.attempt.duration", "s", "Duration of a request to the ad platform.", callBuckets)
	t.warnings = counter("clickid.platform.warnings", "{warning}", "Warnings of the platform about accepted events.")
	t.matchQuality = histogram("clickid.platform.match_quality", "1", "Match quality that the platform estimates.", []float64{0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1})
	t.outcomes = counter("clickid.outbox.outcomes", "{event}", "Events that an outbox has delivered, skipped or dead-lettered.")
	t.latency = histogram("clickid.outbox.latency", "s", "Time from queueing until the outcome of an event.", latencyBuckets)
	t.delivery = histogram("clickid.outbox.delivery.duration", "s", "Duration of the last delivery of an event: its lookups and its request.", callBuckets)
	t.alerts = counter("clickid.outbox.states", "{change}", "Changes of state of an outbox, such as an unavailable platform.")
	var err error
	t.difference, err = t.meter.Float64Gauge("clickid.reconciliation.difference", metric.WithUnit("{event}"), metric.WithDescription("Delivered events minus those that the platform has counted, of the last compared period."))
	return errors.Join(append(problems, err)...)
}
