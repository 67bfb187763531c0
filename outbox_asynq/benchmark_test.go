package asynqoutbox_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	"github.com/redis/go-redis/v9"
)

const backlog = 20_000

// BenchmarkBacklog stores 20,000 events and delivers them to a platform that
// takes 100 ms per request. It reports both rates, and the memory that the
// server uses for a queued and for a delivered event. Run it with -benchtime
// 1x.
func BenchmarkBacklog(b *testing.B) {
	for _, fsync := range []string{"always", "everysec"} {
		b.Run("fsync "+fsync, func(b *testing.B) {
			for range b.N {
				benchmarkBacklog(b, fsync)
			}
		})
	}
}

func benchmarkBacklog(b *testing.B, fsync string) {
	ctx := context.Background()
	connection := connect(b, testserver.StartRedis(b, "--appendfsync", fsync).DSN())
	platform := clickidtest.NewServer(b)
	platform.Always(clickidtest.Fault{Latency: 100 * time.Millisecond})
	ob, err := asynqoutbox.New(asynqoutbox.Config{
		Delivery: outbox.Config{Destination: newClient(b, platform)}, Redis: connection, EnqueueTimeout: time.Minute,
	})
	if err != nil {
		b.Fatal(err)
	}
	empty := usedMemory(b, connection)
	began := time.Now()
	for first := 0; first < backlog; first += 500 {
		events := make([]clickid.Event, 500)
		for i := range events {
			events[i] = order(fmt.Sprintf("B-%d", first+i))
		}
		if _, err := ob.Send(ctx, events...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(backlog/time.Since(began).Seconds(), "stored/s")
	full := usedMemory(b, connection)
	b.ReportMetric(float64(full-empty)/backlog, "B/waiting")

	began = time.Now()
	if err := ob.Start(ctx); err != nil {
		b.Fatal(err)
	}
	if _, err := platform.Wait(ctx, backlog); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(backlog/time.Since(began).Seconds(), "delivered/s")
	b.ReportMetric(float64(len(platform.Requests())), "requests")
	if remaining, err := ob.Stop(ctx); err != nil || remaining != 0 {
		b.Fatalf("%d events remain, %v", remaining, err)
	}
	b.ReportMetric(float64(usedMemory(b, connection)-empty)/backlog, "B/remembered")
}

// usedMemory returns the server's memory in bytes.
func usedMemory(b *testing.B, connection *redis.Client) int {
	b.Helper()
	info, err := connection.Info(context.Background(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	for _, line := range strings.Fields(info) {
		if value, ok := strings.CutPrefix(line, "used_memory:"); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatal("INFO has no used_memory")
	return 0
}
