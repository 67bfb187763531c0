package sending_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/amplitude/analytics-go/amplitude"
	"github.com/mixpanel/mixpanel-go"
	"github.com/posthog/posthog-go"
	rudder "github.com/rudderlabs/analytics-go/v4"
	segment "github.com/segmentio/analytics-go/v3"
	"github.com/snowplow/snowplow-golang-tracker/v3/pkg/storage/memory"
	"github.com/snowplow/snowplow-golang-tracker/v3/pkg/storage/storageiface"
	snowplow "github.com/snowplow/snowplow-golang-tracker/v3/tracker"
)

// peers are the clients of other platforms with their defaults, except for the
// address, silent loggers, and compression, which is off everywhere.
func peers() []sender {
	return []sender{segmentSender(), posthogSender(), rudderSender(), amplitudeSender(), mixpanelSender(), snowplowSender()}
}

// durable are peers with a queue on disk, which start again after an outage.
// Snowplow's needs cgo.
var durable []sender

// closing returns a send function that enqueues messages and closes the client.
func closing[M any](tb testing.TB, messages []M, enqueue func(M) error, closeIt func() error) func() {
	return func() {
		for _, m := range messages {
			if err := enqueue(m); err != nil {
				tb.Error(err)
			}
		}
		if err := closeIt(); err != nil {
			tb.Error(err)
		}
	}
}

func segmentSender() sender {
	return sender{"Segment", func(tb testing.TB, url string, orders int) func() {
		client, err := segment.NewWithConfig("key", segment.Config{Endpoint: url, Logger: segment.StdLogger(silent)})
		if err != nil {
			tb.Fatal(err)
		}
		messages := make([]segment.Track, orders)
		for i := range messages {
			messages[i] = segment.Track{Event: "Order Completed", UserId: customerID(i), Timestamp: placed, Properties: properties(i)}
		}
		return closing(tb, messages, func(m segment.Track) error { return client.Enqueue(m) }, client.Close)
	}}
}

func posthogSender() sender {
	return sender{"PostHog", func(tb testing.TB, url string, orders int) func() {
		client, err := posthog.NewWithConfig("key", posthog.Config{Endpoint: url, Logger: posthog.StdLogger(silent)})
		if err != nil {
			tb.Fatal(err)
		}
		messages := make([]posthog.Capture, orders)
		for i := range messages {
			messages[i] = posthog.Capture{Event: "purchase", DistinctId: customerID(i), Timestamp: placed, Properties: properties(i)}
		}
		return closing(tb, messages, func(m posthog.Capture) error { return client.Enqueue(m) }, client.Close)
	}}
}

func rudderSender() sender {
	return sender{"RudderStack", func(tb testing.TB, url string, orders int) func() {
		client, err := rudder.NewWithConfig("key", rudder.Config{
			DataPlaneUrl: url, Logger: rudder.StdLogger(silent), DisableGzip: true, NoProxySupport: true,
		})
		if err != nil {
			tb.Fatal(err)
		}
		messages := make([]rudder.Track, orders)
		for i := range messages {
			messages[i] = rudder.Track{Event: "Order Completed", UserId: customerID(i), OriginalTimestamp: placed, Properties: properties(i)}
		}
		return closing(tb, messages, func(m rudder.Track) error { return client.Enqueue(m) }, client.Close)
	}}
}

func amplitudeSender() sender {
	return sender{"Amplitude", func(tb testing.TB, url string, orders int) func() {
		cfg := amplitude.NewConfig("key")
		cfg.ServerURL, cfg.Logger = url+"/2/httpapi", noLogger{}
		client := amplitude.NewClient(cfg)
		events := make([]amplitude.Event, orders)
		for i := range events {
			events[i] = amplitude.Event{EventType: "purchase", UserID: customerID(i), EventProperties: properties(i)}
			events[i].Time = placed.UnixMilli()
		}
		return func() {
			for _, e := range events {
				client.Track(e)
			}
			client.Shutdown()
		}
	}}
}

type noLogger struct{}

func (noLogger) Debugf(string, ...any) {}
func (noLogger) Infof(string, ...any)  {}
func (noLogger) Warnf(string, ...any)  {}
func (noLogger) Errorf(string, ...any) {}

// mixpanelSender sends with Mixpanel's import API: a call for each request, and
// an error, without a queue.
func mixpanelSender() sender {
	return sender{"Mixpanel", func(_ testing.TB, url string, orders int) func() {
		client := mixpanel.NewApiClient("token", mixpanel.ServiceAccount(1, "name", "secret"), mixpanel.ProxyApiLocation(url))
		events := make([]*mixpanel.Event, orders)
		for i := range events {
			events[i] = client.NewEvent("purchase", customerID(i), properties(i))
			events[i].AddTime(placed)
			events[i].AddInsertID(orderID(i))
		}
		return func() {
			for rest := events; len(rest) > 0; {
				n := min(mixpanel.MaxImportEvents, len(rest))
				_, _ = client.Import(context.Background(), rest[:n], mixpanel.ImportOptions{Strict: true, Compression: mixpanel.None})
				rest = rest[n:]
			}
		}
	}}
}

// snowplowSender keeps events in memory, and flushes them as its example does.
func snowplowSender() sender {
	return sender{"Snowplow", func(_ testing.TB, url string, orders int) func() { return snowplowWith(*memory.Init(), url, orders) }}
}

func snowplowWith(storage storageiface.Storage, url string, orders int) func() {
	tracker, closeIdle := snowplowTracker(storage, url)
	events := make([]*snowplow.SelfDescribingJson, orders)
	for i := range events {
		events[i] = snowplow.InitSelfDescribingJson("iglu:com.example/purchase/jsonschema/1-0-0", properties(i))
	}
	return func() {
		for _, e := range events {
			tracker.TrackSelfDescribingEvent(snowplow.SelfDescribingEvent{Event: e})
		}
		tracker.BlockingFlush(5, 10)
		closeIdle()
	}
}

// snowplowTracker returns a tracker and a function that closes its connections.
func snowplowTracker(storage storageiface.Storage, url string) (tracker *snowplow.Tracker, closeIdle func()) {
	// The emitter's own client has a copy of http.DefaultTransport, which shares a
	// map with it and ends the process when both write it at once.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 100, 100
	emitter := snowplow.InitEmitter(snowplow.RequireCollectorUri(url[len("http://"):]), snowplow.RequireStorage(storage),
		snowplow.OptionHttpClient(&http.Client{Timeout: 5 * time.Second, Transport: transport}))
	return snowplow.InitTracker(snowplow.RequireEmitter(emitter), snowplow.OptionBase64Encode(false)), transport.CloseIdleConnections
}
