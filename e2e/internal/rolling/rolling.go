// Package rolling tests deployments during which two or more versions of a
// configuration work on one queue.
package rolling

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/outbox"
)

const (
	events   = 200
	patience = 3 * time.Minute
)

// Tests are the tests by their names.
var Tests = map[string]func(*testing.T, Open){
	"configurations": Configurations, "destinations": Destinations, "signing keys": SigningKeys,
}

// Open opens an outbox on the queue of a test, which all its versions share, without
// starting it. The waits of cfg are short. The outbox delivers a few events at a
// time, so that no version takes all of them.
type Open func(t *testing.T, cfg outbox.Config) outbox.Outbox

// Configurations has five configurations of one destination on one queue: another
// dialect, with the current key and with one that was replaced, another endpoint, the
// replaced key, and the current ones. Each sends events of its own and events that all
// of them send.
func Configurations(t *testing.T, open Open) {
	platform := clickidtest.NewServer(t)
	logEvent := capi.LogEvent{EventSourceID: clickidtest.EventSourceID}
	interchange := logEvent
	interchange.AdvertiserID = clickidtest.AdvertiserID
	var versions []outbox.Outbox
	for prefix, cfg := range map[string]capi.Config{
		"ecapi":       {APIKey: clickidtest.APIKey, Dialect: capi.ECAPI{DataSetID: clickidtest.DataSetID}},
		"ecapi-key":   {APIKey: "scope3_replaced", Dialect: capi.ECAPI{DataSetID: clickidtest.DataSetID}},
		"interchange": {APIKey: clickidtest.APIKey, Dialect: interchange},
		"key":         {APIKey: "scope3_replaced", Dialect: logEvent},
		"current":     {APIKey: clickidtest.APIKey, Dialect: logEvent},
	} {
		ob := open(t, config(t, platform, cfg))
		send(t, ob, "all", crash.Conversion) // known to the others
		send(t, ob, prefix, crash.Conversion)
		versions = append(versions, ob)
	}
	deliver(t, platform, versions, (len(versions)+1)*events)
	responses := make(map[string]int)
	for _, request := range platform.Requests() {
		responses[fmt.Sprintf("%s %d", path.Base(request.Path), request.Status)]++
	}
	t.Log(responses)
	if len(responses) != len(versions) {
		t.Error("not every version has sent")
	}
}

// SigningKeys rotates the key of the cookie store. The events have tokens of both
// keys, and each version resolves those of the other.
func SigningKeys(t *testing.T, open Open) {
	platform := clickidtest.NewServer(t)
	older, newer := []byte("the older key, of 32 bytes......"), []byte("the newer key, of 32 bytes......")
	var versions []outbox.Outbox
	for prefix, keys := range map[string][][]byte{"older": {older, newer}, "newer": {newer, older}} {
		store, err := clickid.NewCookieStore(keys...)
		if err != nil {
			t.Fatal(err)
		}
		tracker, err := clickid.New(clickid.Config{Store: store})
		if err != nil {
			t.Fatal(err)
		}
		ob := open(t, config(t, platform, capi.Config{
			APIKey: clickidtest.APIKey, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID}, Resolver: tracker,
		}))
		send(t, ob, prefix, func(order string) clickid.Event {
			e, now := crash.Conversion(order), time.Now()
			click := clickid.Click{ID: "click-of-" + order, Param: "clkid", At: now, Expires: now.Add(time.Hour)}
			token, err := store.Save(context.Background(), click)
			if err != nil {
				t.Fatal(err)
			}
			e.Click, e.ClickToken = clickid.Click{}, token
			return e
		})
		versions = append(versions, ob)
	}
	deliver(t, platform, versions, len(versions)*events)
	for _, event := range platform.Accepted() {
		if event.ClickID != "click-of-"+event.ID {
			t.Errorf("%s has the click %q", event.ID, event.ClickID)
		}
	}
}

// Destinations has two versions whose destinations have names of their own. Each
// sends events of its own and events that both send, and none to the destination of
// the other.
func Destinations(t *testing.T, open Open) {
	platform := clickidtest.NewServer(t)
	dialects := map[string]capi.Dialect{
		"ecapi":     capi.ECAPI{DataSetID: clickidtest.DataSetID},
		"log_event": capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	}
	var versions []outbox.Outbox
	for prefix, dialect := range dialects {
		cfg := config(t, platform, capi.Config{APIKey: clickidtest.APIKey, Dialect: dialect})
		cfg.Destination = cfg.Destination.(keptName).Client
		ob := open(t, cfg)
		send(t, ob, "all", crash.Conversion)
		send(t, ob, prefix, crash.Conversion)
		versions = append(versions, ob)
	}
	deliver(t, platform, versions, len(versions)*2*events)
	for _, event := range platform.Accepted() {
		for prefix := range dialects {
			if strings.HasPrefix(event.ID, prefix+"-") && string(event.Dialect) != prefix {
				t.Errorf("%s was sent to the destination of another version, in the dialect %s", event.ID, event.Dialect)
				return
			}
		}
	}
}

func config(t *testing.T, platform *clickidtest.Server, cfg capi.Config) outbox.Config {
	t.Helper()
	cfg.BaseURL, cfg.RateLimit = platform.URL, capi.RateLimit{Requests: -1}
	client, err := capi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return outbox.Config{Destination: keptName{client}, MinSnooze: 50 * time.Millisecond, MaxSnooze: 500 * time.Millisecond}
}

// keptName is a destination that has kept its name.
type keptName struct{ *capi.Client }

func (keptName) Name() string { return "shop" }

func send(t *testing.T, ob outbox.Outbox, prefix string, conversion func(order string) clickid.Event) {
	t.Helper()
	batch := make([]clickid.Event, events)
	for i := range batch {
		batch[i] = conversion(fmt.Sprintf("%s-%d", prefix, i))
	}
	if report, err := ob.Send(within(t), batch...); err != nil || !report.Accepted() {
		t.Fatalf("Send: %+v, %v", report, err)
	}
}

// deliver starts the versions and waits until the platform has accepted a number of
// events, each once.
func deliver(t *testing.T, platform *clickidtest.Server, versions []outbox.Outbox, want int) {
	t.Helper()
	ctx := within(t)
	for _, ob := range versions {
		if err := ob.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	_, late := platform.Wait(ctx, want)
	for _, ob := range versions {
		awaitEmpty(ctx, t, ob)
		if letters, err := ob.DeadLetters(ctx, outbox.Page{}); err != nil || len(letters) > 0 {
			t.Errorf("%d dead letters, %v", len(letters), err)
		}
	}
	if got := platform.Count(); got != want || late != nil {
		t.Errorf("%d of %d events are accepted: %v", got, want, late)
	}
	for _, event := range platform.Accepted() {
		if event.Received != 1 {
			t.Errorf("%s was sent %d times", event.ID, event.Received)
		}
	}
	for _, ob := range versions {
		if remaining, err := ob.Stop(ctx); err != nil || remaining != 0 {
			t.Errorf("Stop: %d, %v", remaining, err)
		}
	}
}

func awaitEmpty(ctx context.Context, t *testing.T, ob outbox.Outbox) {
	t.Helper()
	for {
		stats, err := ob.Stats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if stats.Queued == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d events are in the queue", stats.Queued)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
