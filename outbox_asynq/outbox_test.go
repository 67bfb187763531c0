package asynqoutbox_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	"github.com/redis/go-redis/v9"
)

// connect opens a connection to a Redis server.
func connect(tb testing.TB, url string) *redis.Client {
	tb.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		tb.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	client := redis.NewClient(options)
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// newQueue returns a new queue name and removes the queue when the test ends.
func newQueue(tb testing.TB, client *redis.Client) string {
	tb.Helper()
	name := testserver.Name()
	tb.Cleanup(func() {
		ctx := context.Background()
		for _, queue := range []string{name, name + "-dead"} {
			client.SRem(ctx, "asynq:queues", queue)
			keys := client.Scan(ctx, 0, "*{"+queue+"}*", 1000).Iterator()
			for keys.Next(ctx) {
				client.Del(ctx, keys.Val())
			}
		}
	})
	return name
}

// newOutbox returns an outbox on a shared Redis server.
func newOutbox(tb testing.TB, cfg asynqoutbox.Config) *asynqoutbox.Outbox {
	tb.Helper()
	cfg.EnqueueTimeout = time.Minute
	cfg.PollInterval = 20 * time.Millisecond
	ob, err := asynqoutbox.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return ob
}

func TestConformance(t *testing.T) {
	url := testserver.Redis(t)
	outboxtest.Run(t, func(tb testing.TB) outboxtest.Backend {
		client := connect(tb, url)
		queue := newQueue(tb, client)
		return outboxtest.Backend{
			Open: func(tb testing.TB, cfg outbox.Config) outbox.Outbox {
				return newOutbox(tb, asynqoutbox.Config{
					Delivery: cfg, Redis: client, Queue: queue, AcceptLoss: true,
				})
			},
			Lose: loseRecord(client, queue),
		}
	})
}

// loseRecord deletes the record of an event and leaves its task.
func loseRecord(client redis.UniversalClient, queue string) func(testing.TB, outbox.Outbox, string) {
	return func(tb testing.TB, _ outbox.Outbox, identity string) {
		tb.Helper()
		if n, err := client.Del(context.Background(), "clickid:{"+queue+"}:event:"+identity).Result(); n != 1 || err != nil {
			tb.Fatalf("%d records were deleted: %v", n, err)
		}
	}
}

// newClient returns a client of the receiver.
func newClient(tb testing.TB, platform *clickidtest.Server) *capi.Client {
	tb.Helper()
	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		BaseURL: platform.URL,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func order(id string) clickid.Event {
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: time.Now(), Value: clickid.Minor(4990, "EUR"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	}
}

func TestNew_problems(t *testing.T) {
	t.Parallel()
	_, err := asynqoutbox.New(asynqoutbox.Config{
		Queue: "My Shop", EnqueueTimeout: -1, Workers: -1, DeduplicationWindow: time.Millisecond, PollInterval: -1,
	})
	if err == nil {
		t.Fatal("a wrong configuration was accepted")
	}
	for _, field := range []string{"Client", "Redis", "Queue", "EnqueueTimeout", "Workers", "DeduplicationWindow", "PollInterval"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("the error does not mention %s:\n%v", field, err)
		}
	}
}

func TestNew_unusableRedis(t *testing.T) {
	t.Parallel()
	delivery := outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}
	ignoresDeadlines := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = ignoresDeadlines.Close() }()
	for _, tt := range []struct {
		name   string
		client redis.UniversalClient
		want   string
	}{
		{"nil", nil, "Redis is required"},
		{"nil client", (*redis.Client)(nil), "Redis is required"},
		{"nil cluster client", (*redis.ClusterClient)(nil), "Redis is required"},
		{"client that ignores deadlines", ignoresDeadlines, "set ContextTimeoutEnabled"},
	} {
		_, err := asynqoutbox.New(asynqoutbox.Config{Delivery: delivery, Redis: tt.client})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got the error %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestStart_volatileRedis checks that Start refuses a server that may lose
// acknowledged events.
func TestStart_volatileRedis(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		args    []string
		refused string
	}{
		{"append-only", nil, ""},
		{"no append-only file", []string{"--appendonly", "no"}, "appendonly"},
		{"evicting", []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, "noeviction"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := testserver.StartRedis(t, tt.args...)
			ob := newOutbox(t, asynqoutbox.Config{
				Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))},
				Redis:    connect(t, server.DSN()),
			})
			err := ob.Start(t.Context())
			defer func() { _, _ = ob.Stop(context.Background()) }()
			switch {
			case tt.refused == "" && err != nil:
				t.Fatal(err)
			case tt.refused != "" && !(errors.Is(err, asynqoutbox.ErrVolatile) && strings.Contains(err.Error(), tt.refused)):
				t.Fatalf("Start: %v", err)
			}
		})
	}
}

// TestSend_deadline checks that a hanging or unavailable Redis does not delay
// Send beyond EnqueueTimeout, and that Send returns an error.
func TestSend_deadline(t *testing.T) {
	t.Parallel()
	server := testserver.StartRedis(t)
	ob, err := asynqoutbox.New(asynqoutbox.Config{
		Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))},
		Redis:    connect(t, server.DSN()),
	})
	if err != nil {
		t.Fatal(err)
	}
	// A new connection can take longer than the deadline on a busy machine.
	stored := func(name string) {
		t.Helper()
		for start := time.Now(); ; {
			_, err := ob.Send(t.Context(), order(name))
			if err == nil {
				return
			}
			if time.Since(start) > time.Minute {
				t.Fatal(err)
			}
		}
	}
	stored("before")
	for _, tt := range []struct {
		name           string
		break_, repair func()
	}{
		{"hangs", server.Pause, server.Resume},
		{"is stopped", server.Stop, func() { server.Restart() }},
	} {
		tt.break_()
		start := time.Now()
		report, err := ob.Send(t.Context(), order(tt.name))
		// The deadline is half a second. A busy machine may need longer.
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("a server that %s delayed Send by %v", tt.name, took)
		}
		if err == nil || report.Results[0].Verdict != clickid.VerdictFailed {
			t.Errorf("a server that %s: %+v, %v", tt.name, report, err)
		}
		tt.repair()
	}
	stored("after")
}
