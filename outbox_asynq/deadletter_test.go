package asynqoutbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// deletions is a hook that counts the elements of the list of dead letters that
// Redis compares for their deletion.
type deletions struct {
	outbox *Outbox

	mu       sync.Mutex
	list     []string // the newest first
	deleted  int
	compared int
}

func (d *deletions) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *deletions) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (d *deletions) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); cmd.Name() == "evalsha" && args[1] == deleteScript.Hash() && args[3] == d.outbox.dead.pending() {
			d.delete(args[5].(int), args[6].(string))
		} else if strings.HasPrefix(cmd.Name(), "eval") && slices.Contains(args, any(d.outbox.dead.asynq(""))) {
			d.delete(0, "")
		}
		return next(ctx, cmd)
	}
}

// delete counts the elements that LREM compares: all with a count of zero, and otherwise
// those from an end of the list to the one that is looked for.
func (d *deletions) delete(count int, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deleted++
	i := slices.Index(d.list, id)
	switch {
	case count == 0 || i < 0:
		d.compared += len(d.list)
		return
	case count > 0:
		d.compared += i + 1
	default:
		d.compared += len(d.list) - i
	}
	d.list = slices.Delete(d.list, i, i+1)
}

// TestDeadLetters_comparisons replays and discards many dead letters.
func TestDeadLetters_comparisons(t *testing.T) {
	t.Parallel()
	ob, _ := newTrapped(t)
	ctx := t.Context()
	const n = 500
	for i := range n {
		_, records := ob.delivery.Admit(ctx, purchase(fmt.Sprint("dead-", i)))
		require.NoError(t, ob.keepDead(ctx, records[0], outbox.Failure{Reason: "refused", Status: 400}, 1))
	}
	list, err := ob.cfg.Redis.LRange(ctx, ob.dead.pending(), 0, -1).Result()
	require.NoError(t, err)
	d := &deletions{outbox: ob, list: list}
	ob.cfg.Redis.AddHook(d)

	page, err := ob.DeadLetters(ctx, outbox.Page{Limit: n / 2})
	require.NoError(t, err)
	var ids []string
	for _, letter := range page {
		ids = append(ids, letter.ID)
	}
	discarded, err := ob.Discard(ctx, ids...)
	require.NoError(t, err)
	require.Equal(t, n/2, discarded)
	replayed, err := ob.Replay(ctx)
	require.NoError(t, err)
	require.Equal(t, n/2, replayed)
	require.Equal(t, n, d.deleted)
	require.Equal(t, n, d.compared, "Redis compares more than one dead letter for each deletion")
	stats, err := ob.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, n/2, stats.Queued)
	require.Zero(t, stats.DeadLetters)
}

// between is a hook that calls act once, before a command, or between the commands of
// a pipeline with it unless that is a transaction.
type between struct {
	is   func(cmd redis.Cmder) bool
	act  func()
	once sync.Once
}

func (b *between) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if b.is(cmd) {
			b.once.Do(b.act)
		}
		return next(ctx, cmd)
	}
}

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "multi" || !slices.ContainsFunc(cmds, b.is) {
			return next(ctx, cmds)
		}
		err := next(ctx, cmds[:1])
		b.once.Do(b.act)
		return errors.Join(err, next(ctx, cmds[1:]))
	}
}

// TestDeadLetters_deletedMeanwhile discards dead letters between the reading of the
// first page and that of the second.
func TestDeadLetters_deletedMeanwhile(t *testing.T) {
	t.Parallel()
	ob, _ := newTrapped(t)
	ctx := t.Context()
	const n = listPage + 5
	var ids []string
	for i := range n {
		_, records := ob.delivery.Admit(ctx, purchase(fmt.Sprint("dead-", i)))
		require.NoError(t, ob.keepDead(ctx, records[0], outbox.Failure{Reason: "refused", Status: 400}, 1))
		ids = append(ids, letterID(records[0]))
	}
	ob.cfg.Redis.AddHook(&between{
		is: func(cmd redis.Cmder) bool {
			return strings.HasPrefix(cmd.Name(), "eval") && slices.Contains(cmd.Args(), any(int64(-listPage-1))) // the end of the second page
		},
		act: func() {
			discarded, err := ob.Discard(ctx, ids[:3]...)
			require.NoError(t, err)
			require.Equal(t, 3, discarded)
		},
	})
	letters, err := ob.DeadLetters(ctx, outbox.Page{Limit: n})
	require.NoError(t, err)
	slices.Reverse(letters)
	var listed []string
	for _, letter := range letters {
		listed = append(listed, letter.ID)
	}
	require.Equal(t, ids[3:], listed)
}

// TestErase_crash kills a worker after it has stored the dead letter of an event that
// was erased during its delivery.
func TestErase_crash(t *testing.T) {
	t.Parallel()
	ob, _ := newTrapped(t)
	ctx := t.Context()
	e := purchase("erased")
	e.Keys = []clickid.Key{clickid.CustomerKey("7")}
	_, records := ob.delivery.Admit(ctx, e)
	_, err := ob.Enqueue(ctx, records)
	require.NoError(t, err)
	erased, err := ob.Erase(ctx, clickid.CustomerKey("7"))
	require.NoError(t, err)
	require.Equal(t, 1, erased)
	require.NoError(t, ob.storeLetter(ctx, letterID(records[0]), letter{Record: records[0], Reason: "refused"}))
	require.NoError(t, ob.enqueue(ctx, records[0].Identity, true)) // the worker's task
	drained, err := ob.Drain(ctx)
	require.NoError(t, err)
	require.Zero(t, drained.Remaining)
	await(t, func() bool {
		letters, err := ob.DeadLetters(ctx, outbox.Page{})
		return err == nil && len(letters) == 0
	})
}
