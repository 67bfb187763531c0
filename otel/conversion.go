package clickidotel

import (
	"context"
	"errors"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/outbox"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Sender returns s with a span and a duration for each Send and a count of the
// verdicts. An outbox takes the span as the origin of the delivery, if its
// Metadata is [Telemetry.Metadata]. s is a client or an outbox:
// [clickid.Senders] and Tracker.Bind come around the returned sender.
func (t *Telemetry) Sender(s clickid.Sender) clickid.Sender {
	measured := measuredSender{sender: s, telemetry: t}
	if later, ok := s.(tokenResolver); ok {
		return struct {
			measuredSender
			tokenResolver
		}{measured, later}
	}
	return measured
}

// tokenResolver is a sender that resolves tokens at delivery; see
// [clickid.Sender].
type tokenResolver interface{ ResolvesTokens() bool }

type measuredSender struct {
	sender    clickid.Sender
	telemetry *Telemetry
}

// Send implements [clickid.Sender].
func (m measuredSender) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	t := m.telemetry
	ctx, span := t.tracer.Start(ctx, "clickid.send", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(events))))
	defer span.End()
	start := time.Now()
	report, err := m.sender.Send(ctx, events...)
	took := time.Since(start)
	for _, result := range report.Results {
		t.count(ctx, result)
	}
	if len(report.Results) == 1 {
		result := report.Results[0]
		span.SetAttributes(eventAttributes(result)...)
		if !t.hideEventIDs {
			span.SetAttributes(attribute.String("clickid.event.id", result.ID))
		}
	}
	var problem []attribute.KeyValue
	if err != nil {
		problem = append(problem, errorType(err))
		span.SetStatus(codes.Error, "")
		span.SetAttributes(problem...)
	}
	t.sendDuration.Record(ctx, took.Seconds(), metric.WithAttributes(problem...))
	return report, err
}

// count counts a result, or its parts if several senders got the event.
func (t *Telemetry) count(ctx context.Context, r clickid.Result) {
	for _, part := range r.Parts {
		t.count(ctx, part)
	}
	if len(r.Parts) == 0 {
		t.conversions.Add(ctx, 1, metric.WithAttributes(eventAttributes(r)...))
	}
}

func eventAttributes(r clickid.Result) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attribute.String("clickid.verdict", r.Verdict.String()),
		attribute.String("clickid.event.type", string(r.Type)),
	}
	if r.Destination != "" {
		attributes = append(attributes, attribute.String("clickid.destination", r.Destination))
	}
	return attributes
}

// OnAttempt is the Hook of a capi.Config. It measures each request to the
// platform and reports it as a span. The events of an outbox that share a request
// belong to different traces, so the span of their request is the root of its
// own trace, with links to the spans of their Sends.
func (t *Telemetry) OnAttempt(ctx context.Context, a capi.Attempt) {
	attributes := []attribute.KeyValue{attribute.String("server.address", a.Host)}
	if a.Status != 0 {
		attributes = append(attributes, attribute.Int("http.response.status_code", a.Status))
	}
	var refusal *capi.ResponseError
	switch {
	case errors.As(a.Err, &refusal):
		attributes = append(attributes, attribute.String("error.type", refusal.Kind().String()))
	case a.Err != nil:
		attributes = append(attributes, errorType(a.Err))
	}
	t.attemptDuration.Record(ctx, a.Duration.Seconds(), metric.WithAttributes(attributes...))
	if len(a.Warnings) > 0 {
		t.warnings.Add(ctx, int64(len(a.Warnings)))
	}
	if a.MatchQuality != nil {
		t.matchQuality.Record(ctx, *a.MatchQuality)
	}
	end := time.Now()
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(end.Add(-a.Duration)),
		trace.WithAttributes(append(attributes,
			attribute.Int("http.request.resend_count", a.Number-1),
			attribute.Int("http.request.body.size", a.Bytes),
			attribute.Int("messaging.batch.message_count", a.Events))...),
	}
	if links := t.links(outbox.MetadataOfRequest(ctx)); len(links) > 0 {
		options = append(options, trace.WithNewRoot(), trace.WithLinks(links...))
	}
	_, span := t.tracer.Start(ctx, "clickid.attempt", options...)
	if a.Err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(end))
}

// maxLinks is the number of links that a span keeps by default.
const maxLinks = 128

// links returns links to the spans in the metadata of events.
func (t *Telemetry) links(all []map[string]string) []trace.Link {
	var links []trace.Link
	known := make(map[trace.SpanID]bool)
	for _, metadata := range all {
		origin := trace.SpanContextFromContext(t.propagator.Extract(context.Background(), propagation.MapCarrier(metadata)))
		if !origin.IsValid() || known[origin.SpanID()] {
			continue // the events of one Send share its span
		}
		known[origin.SpanID()] = true
		if links = append(links, trace.Link{SpanContext: origin}); len(links) == maxLinks {
			break
		}
	}
	return links
}

// Reconciled records how many more events were delivered than the platform has
// counted. A negative difference means that it has counted more.
func (t *Telemetry) Reconciled(ctx context.Context, delivered, counted int64) {
	t.difference.Record(ctx, float64(delivered-counted))
}
