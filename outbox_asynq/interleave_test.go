package asynqoutbox_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/interleavetest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	"github.com/redis/go-redis/v9"
)

// gateHook makes the commands of a client pass a gate.
type gateHook struct{ gate *interleavetest.Gate }

func (gateHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h gateHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.pass(cmd)
		return next(ctx, cmd)
	}
}

func (h gateHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.pass(cmds...)
		return next(ctx, cmds)
	}
}

// ofEvent matches the keys of an event, of a user's events, of a task and of the list
// of dead letters. Other commands look for what is due, or count.
var ofEvent = regexp.MustCompile(`^clickid:\{.*\}:(event|id|key|skipped)|^asynq:\{.*\}:t:[0-9a-f]|^asynq:\{.*-dead\}:pending`)

// pass passes the gate before a command of an event, or a pipeline with one. The step
// is its name, its script and its first key.
func (h gateHook) pass(cmds ...redis.Cmder) {
	for _, cmd := range cmds {
		step, name := cmd.Name(), cmd.Name()
		if name == "zcard" || name == "llen" {
			continue
		}
		for i, arg := range cmd.Args() {
			if i == 1 && strings.HasPrefix(name, "eval") {
				step += fmt.Sprintf(" %.60v", arg)
			}
			if key, ok := arg.(string); ok && ofEvent.MatchString(key) {
				h.gate.Pass(step + " " + key)
				return
			}
		}
	}
}

func TestOutbox_interleaved(t *testing.T) {
	t.Parallel()
	url := testserver.Redis(t)
	plain := connect(t, url)
	queue := newQueue(t, plain)
	interleavetest.Run(t, interleavetest.Backend{
		Open: func(t testing.TB, cfg outbox.Config, gate *interleavetest.Gate) outbox.Drainer {
			client := connect(t, url)
			if gate != nil {
				client.AddHook(gateHook{gate})
			}
			return newOutbox(t, asynqoutbox.Config{Delivery: cfg, Redis: client, Queue: queue, AcceptLoss: true})
		},
		Stored: func(t testing.TB) string { return stored(t, plain, queue) },
		Expire: func(t testing.TB) {
			lease := "asynq:{" + queue + "}:lease"
			ids, err := plain.ZRange(t.Context(), lease, 0, -1).Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				plain.ZAdd(t.Context(), lease, redis.Z{Score: float64(time.Now().Add(-time.Hour).Unix()), Member: id})
			}
		},
	})
}

// stored returns all keys and values of a queue.
func stored(t testing.TB, client *redis.Client, queue string) string {
	var all strings.Builder
	ctx := t.Context()
	for _, name := range []string{queue, queue + "-dead"} {
		keys := client.Scan(ctx, 0, "*{"+name+"}*", 1000).Iterator()
		for keys.Next(ctx) {
			key := keys.Val()
			var value any
			switch kind := client.Type(ctx, key).Val(); kind {
			case "string":
				value = client.Get(ctx, key).Val()
			case "hash":
				value = client.HGetAll(ctx, key).Val()
			case "set":
				value = client.SMembers(ctx, key).Val()
			case "zset":
				value = client.ZRangeWithScores(ctx, key, 0, -1).Val()
			case "list":
				value = client.LRange(ctx, key, 0, -1).Val()
			}
			fmt.Fprintln(&all, key, value)
		}
		if err := keys.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
