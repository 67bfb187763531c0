package otel_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	clickidotel "github.com/clickid/clickid/otel"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
)

// attempting is a destination that accepts every event and reports its request,
// as a client does.
type attempting struct {
	outbox.Destination
	hook func(context.Context, capi.Attempt)
}

func (d attempting) Deliver(ctx context.Context, items []outbox.Item) (clickid.Report, error) {
	d.hook(ctx, capi.Attempt{Host: "platform.example", Status: 200, Events: len(items), Number: 1})
	report := clickid.Report{}
	for _, item := range items {
		report.Results = append(report.Results, clickid.Result{ID: item.Event.ID, Type: item.Event.Type, Verdict: clickid.VerdictAccepted})
	}
	return report, nil
}

// FuzzMetadata delivers events with metadata that the telemetry did not write.
// It never decides over the delivery, and the spans belong to the trace that the
// propagator reads from it, or to none.
func FuzzMetadata(f *testing.F) {
	propagator := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	spans := tracetest.NewInMemoryExporter()
	traces := trace.NewTracerProvider(trace.WithSyncer(spans), trace.WithSampler(trace.AlwaysSample()))
	telemetry, err := clickidotel.New(clickidotel.Config{TracerProvider: traces, Propagator: propagator})
	require.NoError(f, err)
	delivery, err := outbox.NewDelivery(outbox.Config{
		Destination: attempting{outbox.Administration("shop"), telemetry.OnAttempt}, Hook: telemetry.OnOutbox, Linger: -1, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(f, err)

	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, value := range []string{
		"", parent, strings.ToUpper(parent), parent + "-x", "01" + parent[2:], "ff" + parent[2:], "00-00000000000000000000000000000000-0000000000000000-00", parent[:54], "\x00", "\xff", "é", parent + "\r\nX: y",
	} {
		f.Add("traceparent", value, "tracestate", "a=b")
		f.Add("Traceparent", value, "baggage", "a=b;c, d="+value)
		f.Add("traceparent", parent, "tracestate", value)
	}
	f.Add("", "", "baggage", strings.Repeat("a=b,", 3000))
	f.Add("traceparent", parent, "tracestate", strings.Repeat("a=b,", 100))
	f.Fuzz(func(t *testing.T, name, value, otherName, otherValue string) {
		metadata := map[string]string{name: value, otherName: otherValue}
		spans.Reset()
		outcome := delivery.Deliver(t.Context(), outbox.Record{
			Identity: "a", Payload: []byte(`{"v":1,"event":{"type":"purchase","id":"1"}}`), QueuedAt: time.Now(), Metadata: metadata,
		}, 1)
		require.Equal(t, outbox.ActionDone, outcome.Action, "%v", outcome.Failure)
		origin := api.SpanContextFromContext(propagator.Extract(context.Background(), propagation.MapCarrier(metadata)))
		ended := spans.GetSpans()
		require.Len(t, ended, 2)
		for _, s := range ended {
			switch s.Name {
			case "clickid.deliver":
				require.Equal(t, origin.SpanID(), s.Parent.SpanID())
				require.Equal(t, origin.TraceState().String(), s.SpanContext.TraceState().String())
				if origin.IsValid() {
					require.Equal(t, origin.TraceID(), s.SpanContext.TraceID())
				}
			case "clickid.attempt":
				require.False(t, s.Parent.IsValid() && len(s.Links) > 0)
				for _, link := range s.Links {
					require.Equal(t, origin.SpanID(), link.SpanContext.SpanID())
				}
			}
		}
	})
}
