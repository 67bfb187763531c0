package sqliteoutbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/sqldb"
	"github.com/clickid/clickid/outbox"
)

func groupRecord(identity string) outbox.Record {
	return outbox.Record{Identity: identity, Payload: []byte(`{"v":1,"event":{}}`), QueuedAt: time.Now()}
}

// TestOutbox_enqueueGroup_poison has a call among others that fails.
func TestOutbox_enqueueGroup_poison(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*enqueueing){
		"a constraint": func(e *enqueueing) { e.records = append(e.records, groupRecord("poison")) },
		"too large":    func(e *enqueueing) { e.records[0].Metadata = map[string]string{"m": strings.Repeat("x", 100_000)} },
		"a canceled caller": func(e *enqueueing) {
			e.records = append(e.records, groupRecord("poison"))
			ctx, cancel := context.WithCancel(e.ctx)
			cancel()
			e.ctx = ctx
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ob, db, r := openRecorded(t)
			_, err := db.ExecContext(t.Context(), `CREATE TRIGGER fault BEFORE INSERT ON river_job
				WHEN new.args ->> '$.identity' = 'poison' OR length(new.metadata) > 50000
				BEGIN SELECT RAISE(ABORT, 'refused by a trigger'); END`)
			if err != nil {
				t.Fatal(err)
			}
			var group []*enqueueing
			for i := range 3 {
				group = append(group, &enqueueing{ctx: t.Context(), records: []outbox.Record{groupRecord(fmt.Sprint(i)), groupRecord("common")}})
			}
			poisoned := group[1]
			spoil(poisoned)
			r.take()
			ob.enqueueGroup(t.Context(), group)
			if poisoned.err == nil {
				t.Error("the call with the fault returns no error")
			}
			if group[0].err != nil || group[2].err != nil {
				t.Errorf("the others fail with it: %v, %v", group[0].err, group[2].err)
			}
			if _, ok := group[2].known["common"]; !ok || len(group[0].known) > 0 {
				t.Errorf("the first call knows %v, the last %v", group[0].known, group[2].known)
			}
			if stats, err := ob.Stats(t.Context()); err != nil || stats.Queued != 3 {
				t.Errorf("%+v, %v: want the records of two calls", stats, err)
			}
		})
	}
}

// TestOutbox_enqueueGroup_waited does not wait again for each call.
func TestOutbox_enqueueGroup_waited(t *testing.T) {
	t.Parallel()
	ob, db, _ := openRecorded(t)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // an attempt of its own would return this
	group := []*enqueueing{{ctx: ctx, records: []outbox.Record{groupRecord("1")}}, {ctx: ctx, records: []outbox.Record{groupRecord("2")}}}
	ob.enqueueGroup(t.Context(), group)
	for _, e := range group {
		if !errors.Is(e.err, sqldb.ErrOwnTransaction) {
			t.Errorf("%v", e.err)
		}
	}
}
