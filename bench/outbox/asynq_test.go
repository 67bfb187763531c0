package outbox_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/bench/internal/redismemory"
	"github.com/clickid/clickid/outbox"
)

// BenchmarkAsynq stores a backlog in Redis and delivers it to a platform that takes
// 100 ms per request, for each way in which the server flushes its append-only
// file. It prints both rates, and the memory that the server uses for a queued and
// for a delivered event. Run it with -benchtime=1x.
func BenchmarkAsynq(b *testing.B) {
	table := ratio.NewTable("Asynq", 1, "`appendfsync`", "stored per second", "delivered per second", "delivered after", "memory of a queued event", "of a delivered event")
	for _, fsync := range []string{"always", "everysec"} {
		b.Run(fsync, func(b *testing.B) {
			ctx := context.Background()
			p := newPlatform(b, latency)
			ob, connection := newAsynq(b, outbox.Config{Destination: p.client(b)}, 0, "--appendfsync", fsync)
			s := &shop{outbox: ob}
			empty := redismemory.Used(b, connection)
			memory := func() string {
				return fmt.Sprintf("%.1f kB", float64(redismemory.Used(b, connection)-empty)/backlog/1000)
			}
			began := time.Now()
			s.fill(b, "A", backlog, 1)
			stored, queued := time.Since(began), memory()
			began = time.Now()
			if err := ob.Start(ctx); err != nil {
				b.Fatal(err)
			}
			p.await(b, backlog)
			delivered := time.Since(began)
			if remaining, err := ob.Stop(ctx); err != nil || remaining != 0 {
				b.Fatalf("%d events remain, %v", remaining, err)
			}
			table.Row(fsync, backlog/stored.Seconds(), backlog/delivered.Seconds(), delivered, queued, memory())
			b.ReportMetric(0, "ns/op")
		})
	}
}
