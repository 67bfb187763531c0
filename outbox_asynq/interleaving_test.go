package asynqoutbox

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// beforeScript calls do once, before Redis runs a script with an argument that has
// the prefix.
type beforeScript struct {
	once   sync.Once
	script *redis.Script
	prefix string
	do     func()
}

func (h *beforeScript) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *beforeScript) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); cmd.Name() == "evalsha" && args[1] == h.script.Hash() {
			for _, arg := range args[2:] {
				if text, ok := arg.(string); ok && strings.HasPrefix(text, h.prefix) {
					h.once.Do(h.do)
				}
			}
		}
		return next(ctx, cmd)
	}
}

func (h *beforeScript) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// corrected returns a purchase with another request, since the platform repeats its
// refusal of the same one.
func corrected() clickid.Event {
	e := purchase("A")
	e.Value = clickid.Minor(100, "EUR")
	return e
}

// An operator sees a dead letter before its worker has settled the event.
func TestOutbox_deadLetterBesideOutcome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		do       func(t *testing.T, ob *Outbox, id string)
		accepted int
	}{
		{"discarded", func(t *testing.T, ob *Outbox, id string) {
			n, err := ob.Discard(t.Context(), id)
			assert.NoError(t, err)
			assert.Equal(t, 1, n)
		}, 0},
		{"discarded and sent again", func(t *testing.T, ob *Outbox, id string) {
			_, err := ob.Discard(t.Context(), id)
			assert.NoError(t, err)
			go func() {
				_, err := ob.Send(context.WithoutCancel(t.Context()), corrected())
				assert.NoError(t, err)
			}()
			await(t, func() bool { return ob.cfg.Redis.ZCard(t.Context(), ob.live.waiting()).Val() == 1 })
		}, 1},
		{"replayed", func(t *testing.T, ob *Outbox, id string) {
			go func() {
				n, err := ob.Replay(context.WithoutCancel(t.Context()), id)
				assert.NoError(t, err)
				assert.Equal(t, 1, n)
			}()
			identity, queued, _ := strings.Cut(id, ".")
			await(t, func() bool {
				l, err := ob.loadRecord(t.Context(), identity)
				return err == nil && letterID(l.record) != identity+"."+queued
			})
		}, 1},
		{"erased", func(t *testing.T, ob *Outbox, _ string) {
			n, err := ob.Erase(t.Context(), clickid.OrderKey("A"))
			assert.NoError(t, err)
			assert.Equal(t, 2, n, "the record and its letter")
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ob, platform := newTrapped(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			lift := platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"A"}, WholeRequest: true, Code: "INVALID_REQUEST"})
			ended := make(chan struct{})
			ob.cfg.Redis.AddHook(&beforeScript{script: settleScript, prefix: markDead, do: func() {
				defer close(ended)
				lift()
				letters, err := ob.DeadLetters(ctx, outbox.Page{})
				assert.NoError(t, err)
				if assert.Len(t, letters, 1) {
					test.do(t, ob, letters[0].ID)
				}
			}})
			_, err := ob.Send(ctx, purchase("A"))
			require.NoError(t, err)
			require.NoError(t, ob.Start(ctx))
			select {
			case <-ended:
			case <-ctx.Done():
				t.Fatal("no dead letter within a minute")
			}
			_, err = platform.Wait(ctx, test.accepted)
			require.NoError(t, err)
			await(t, func() bool {
				s, err := ob.Stats(ctx)
				return err == nil && s.Queued == 0 && s.DeadLetters == 0
			})
			_, err = ob.Send(ctx, corrected())
			require.NoError(t, err)
			_, err = platform.Wait(ctx, 1)
			require.NoError(t, err, "the event cannot be sent again")
		})
	}
}

// The progress of a delivery does not replace the record of an event that was
// erased and sent again meanwhile.
func TestOutbox_storeProgress_sentAgain(t *testing.T) {
	t.Parallel()
	ob, _ := newTrapped(t)
	ctx := t.Context()
	_, err := ob.Send(ctx, purchase("A"))
	require.NoError(t, err)
	identity := takeAsACrashedWorker(ctx, t, ob)
	old, err := ob.loadRecord(ctx, identity)
	require.NoError(t, err)
	require.NoError(t, ob.storeProgress(ctx, old.record, &outbox.Progress{Responses: 1}))
	l, err := ob.loadRecord(ctx, identity)
	require.NoError(t, err)
	require.Equal(t, 1, l.record.Progress.Responses)

	_, err = ob.Erase(ctx, clickid.OrderKey("A"))
	require.NoError(t, err)
	require.NoError(t, ob.storeProgress(ctx, old.record, &outbox.Progress{Responses: 2}))
	l, err = ob.loadRecord(ctx, identity)
	require.NoError(t, err)
	require.False(t, l.found, "an erased event came back")

	_, records := ob.delivery.Admit(ctx, purchase("A"))
	fresh := records[0].Replayed(old.record.QueuedAt.Add(time.Second))
	_, err = ob.store(ctx, []outbox.Record{fresh})
	require.NoError(t, err)
	require.NoError(t, ob.storeProgress(ctx, old.record, &outbox.Progress{Responses: 3}))
	l, err = ob.loadRecord(ctx, identity)
	require.NoError(t, err)
	require.Equal(t, fresh.Progress.Responses, l.record.Progress.Responses, "an old record replaced a new one")
}
