package otel_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	clickidotel "github.com/clickid/clickid/otel"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// recorder keeps what a telemetry reports.
type recorder struct {
	*clickidotel.Telemetry
	spans  *tracetest.SpanRecorder
	reader *metric.ManualReader
	traces *trace.TracerProvider
}

func record(t *testing.T, edits ...func(*clickidotel.Config)) *recorder {
	t.Helper()
	r := &recorder{spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	r.traces = trace.NewTracerProvider(trace.WithSpanProcessor(r.spans))
	cfg := clickidotel.Config{TracerProvider: r.traces, MeterProvider: metric.NewMeterProvider(metric.WithReader(r.reader))}
	for _, edit := range edits {
		edit(&cfg)
	}
	telemetry, err := clickidotel.New(cfg)
	require.NoError(t, err)
	r.Telemetry = telemetry
	return r
}

// points returns the values of a metric by their attributes. A histogram has
// its number of values.
func (r *recorder) points(t *testing.T, name string) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, r.reader.Collect(context.Background(), &all))
	points := make(map[string]float64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					points[text(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					points[text(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					points[text(p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					points[text(p.Attributes)] = float64(p.Count)
				}
			}
		}
	}
	return points
}

func text(set attribute.Set) string {
	var pairs []string
	for _, kv := range set.ToSlice() {
		pairs = append(pairs, fmt.Sprintf("%s=%v", kv.Key, kv.Value.Emit()))
	}
	return strings.Join(pairs, " ")
}

// span returns the only span of a name.
func (r *recorder) span(t *testing.T, name string) trace.ReadOnlySpan {
	t.Helper()
	var found []trace.ReadOnlySpan
	for _, s := range r.spans.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	require.Len(t, found, 1, name)
	return found[0]
}

func attributeOf(s trace.ReadOnlySpan, key attribute.Key) string {
	for _, kv := range s.Attributes() {
		if kv.Key == key {
			return kv.Value.Emit()
		}
	}
	return ""
}

func purchase(id string) clickid.Event {
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Source: clickid.SourceApp, Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
	}
}

// TestTelemetry follows an order: landing, checkout, outbox, delivery, response.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	r := record(t)
	platform := clickidtest.NewServer(t)
	tracker, err := clickid.New(clickid.Config{Store: r.Store(clickid.NewMemoryStore()), Hook: r.OnCapture})
	require.NoError(t, err)
	client, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: platform.URL, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		Resolver: tracker, Hook: r.OnAttempt,
	})
	require.NoError(t, err)
	ob, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: outbox.Config{Destination: client, Metadata: r.Metadata, Hook: r.OnOutbox}, AcceptLoss: true})
	require.NoError(t, err)
	stop, err := r.Watch("orders", ob)
	require.NoError(t, err)

	shop := tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			return
		}
		ctx, checkout := r.traces.Tracer("shop").Start(req.Context(), "checkout")
		defer checkout.End()
		e := purchase("order-1")
		e.Click = clickid.Click{}
		result, err := clickid.Convert(ctx, r.Sender(ob), e)
		if err != nil || result.Verdict != clickid.VerdictQueued {
			t.Errorf("Convert: %v, %v", result.Verdict, err)
		}
	}))
	landing := httptest.NewRecorder()
	shop.ServeHTTP(landing, httptest.NewRequest(http.MethodGet, "https://shop.example/?clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV", nil))
	order := httptest.NewRequest(http.MethodPost, "https://shop.example/orders", nil)
	for _, cookie := range landing.Result().Cookies() {
		order.AddCookie(cookie)
	}
	shop.ServeHTTP(httptest.NewRecorder(), order)
	require.Equal(t, 1.0, r.points(t, "clickid.outbox.events")["clickid.outbox.name=orders clickid.outbox.state=queued"])

	require.NoError(t, ob.Start(context.Background()))
	_, err = platform.Wait(t.Context(), 1)
	require.NoError(t, err)
	_, err = ob.Stop(t.Context())
	require.NoError(t, err)

	require.Equal(t, map[string]float64{"clickid.outcome=captured clickid.speculative=false": 1}, r.points(t, "clickid.capture.observations"))
	require.Equal(t, 1.0, r.points(t, "clickid.store.operation.duration")["clickid.store.operation=save"])
	require.Equal(t, 1.0, r.points(t, "clickid.store.operation.duration")["clickid.store.operation=load"])
	for labels, n := range r.points(t, "clickid.conversion.events") {
		require.Contains(t, labels, "clickid.event.type=purchase clickid.verdict=queued")
		require.Equal(t, 1.0, n)
	}
	require.Equal(t, map[string]float64{"http.response.status_code=200 server.address=127.0.0.1": 1}, r.points(t, "clickid.client.attempt.duration"))
	outcome := map[string]float64{"clickid.event.type=purchase clickid.outcome=delivered": 1}
	require.Equal(t, outcome, r.points(t, "clickid.outbox.outcomes"))
	require.Equal(t, outcome, r.points(t, "clickid.outbox.latency"))
	require.Equal(t, outcome, r.points(t, "clickid.outbox.delivery.duration"))
	require.Equal(t, map[string]float64{"clickid.outcome=captured": 1}, r.points(t, "clickid.capture.duration"))
	require.Equal(t, map[string]float64{"": 1}, r.points(t, "clickid.send.duration"))

	checkout, send, deliver := r.span(t, "checkout"), r.span(t, "clickid.send"), r.span(t, "clickid.deliver")
	require.Equal(t, checkout.SpanContext().SpanID(), send.Parent().SpanID())
	require.Equal(t, send.SpanContext().SpanID(), deliver.Parent().SpanID())
	require.Equal(t, checkout.SpanContext().TraceID(), deliver.SpanContext().TraceID())
	require.Equal(t, "order-1", attributeOf(deliver, "clickid.event.id"))
	require.False(t, deliver.StartTime().Before(send.StartTime().Add(-time.Second)))
	require.Equal(t, send.SpanContext().SpanID(), r.span(t, "clickid.store.load").Parent().SpanID(), "the click is looked up at delivery")
	attempt := r.span(t, "clickid.attempt")
	require.False(t, attempt.Parent().IsValid(), "the request may have events of several orders")
	require.Len(t, attempt.Links(), 1)
	require.Equal(t, send.SpanContext().SpanID(), attempt.Links()[0].SpanContext.SpanID())
	for _, s := range r.spans.Ended() {
		require.NotContains(t, fmt.Sprint(s.Attributes(), s.Events()), "01ARZ3NDEKTSV4RRFFQ69G5FAV", s.Name())
	}

	require.NoError(t, stop())
	require.Empty(t, r.points(t, "clickid.outbox.events"))
}

// TestTelemetry_sharedRequest sends events of two orders and a batch, which an
// outbox delivers in one request.
func TestTelemetry_sharedRequest(t *testing.T) {
	t.Parallel()
	r := record(t)
	platform := clickidtest.NewServer(t)
	client, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: platform.URL, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID}, Hook: r.OnAttempt,
	})
	require.NoError(t, err)
	ob, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: outbox.Config{Destination: client, Metadata: r.Metadata, Hook: r.OnOutbox, Linger: time.Second}, AcceptLoss: true})
	require.NoError(t, err)
	sender := r.Sender(ob)
	for _, events := range [][]clickid.Event{{purchase("1")}, {purchase("2")}, {purchase("3"), purchase("4")}} {
		_, err = sender.Send(context.Background(), events...)
		require.NoError(t, err)
	}
	require.NoError(t, ob.Start(context.Background()))
	_, err = platform.Wait(t.Context(), 4)
	require.NoError(t, err)
	_, err = ob.Stop(t.Context())
	require.NoError(t, err)

	sends, links := map[string]bool{}, map[string]bool{}
	for _, s := range r.spans.Ended() {
		switch s.Name() {
		case "clickid.send":
			sends[s.SpanContext().SpanID().String()] = true
		case "clickid.attempt":
			for _, link := range s.Links() {
				links[link.SpanContext.SpanID().String()] = true
			}
		}
	}
	require.Len(t, sends, 3)
	require.Equal(t, sends, links)
}

func TestTelemetry_OnAttempt(t *testing.T) {
	t.Parallel()
	r := record(t)
	platform := clickidtest.NewServer(t)
	client, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: platform.URL, Dialect: capi.LogEvent{EventSourceID: "other"},
		Retry: capi.Retry{Attempts: 1}, Hook: r.OnAttempt,
	})
	require.NoError(t, err)
	_, err = r.Sender(client).Send(context.Background(), purchase("1"))
	require.Error(t, err)
	require.Equal(t, map[string]float64{"error.type=configuration http.response.status_code=400 server.address=127.0.0.1": 1}, r.points(t, "clickid.client.attempt.duration"))
	require.Equal(t, codes.Error, r.span(t, "clickid.send").Status().Code)
	attempt := r.span(t, "clickid.attempt")
	require.Equal(t, codes.Error, attempt.Status().Code)
	require.Equal(t, r.span(t, "clickid.send").SpanContext().SpanID(), attempt.Parent().SpanID())

	platform.Stop()
	_, err = r.Sender(client).Send(context.Background(), purchase("2"))
	require.Error(t, err)
	require.Equal(t, 1.0, r.points(t, "clickid.client.attempt.duration")["error.type=_OTHER server.address=127.0.0.1"])
}

func TestTelemetry_OnOutbox(t *testing.T) {
	t.Parallel()
	quality := 0.7
	r := record(t, func(cfg *clickidotel.Config) { cfg.HideEventIDs = true })
	r.OnOutbox(context.Background(), outbox.Observation{Kind: outbox.KindDeadLetter, Type: clickid.Purchase, EventID: "1", Reason: "no", Status: 400})
	r.OnOutbox(context.Background(), outbox.Observation{Kind: outbox.KindPlatformUnavailable})
	r.OnOutbox(context.Background(), outbox.Observation{Kind: outbox.KindWarning, Warnings: []string{"a", "b"}, MatchQuality: &quality})
	r.Reconciled(context.Background(), 10, 8)
	dead := r.span(t, "clickid.deliver")
	require.Equal(t, codes.Error, dead.Status().Code)
	require.Empty(t, attributeOf(dead, "clickid.event.id"))
	require.Equal(t, "400", attributeOf(dead, "http.response.status_code"))
	require.Equal(t, map[string]float64{"clickid.outcome=platform unavailable": 1, "clickid.outcome=warning": 1}, r.points(t, "clickid.outbox.states"))
	require.Empty(t, r.points(t, "clickid.platform.warnings"), "the client counts them")
	r.OnAttempt(context.Background(), capi.Attempt{Status: 200, Warnings: []string{"a", "b"}, MatchQuality: &quality})
	require.Equal(t, map[string]float64{"": 2}, r.points(t, "clickid.platform.warnings"))
	require.Equal(t, map[string]float64{"": 1}, r.points(t, "clickid.platform.match_quality"))
	require.Equal(t, map[string]float64{"": 2}, r.points(t, "clickid.reconciliation.difference"))
}
