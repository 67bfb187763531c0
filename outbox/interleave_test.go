package outbox_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/interleavetest"
	"github.com/clickid/clickid/internal/suitetest"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// The steps in which a stepwise outbox does what others do at once.
const (
	marksLate    fault = "marks the identity of a dead event after its letter"
	replaysTwice fault = "removes a dead letter and then sends its event"
	erasesTwice  fault = "erases the dead letters that it has listed"
)

// stepwise is an outbox that does something in two steps.
type stepwise struct {
	*outbox.Memory
	fault fault
	gate  *interleavetest.Gate
	marks *sync.Map // the IDs of dead events
}

func (s *stepwise) Drain(ctx context.Context) (outbox.Drained, error) {
	drained, err := s.Memory.Drain(ctx)
	if s.fault != marksLate || err != nil {
		return drained, err
	}
	letters, err := s.DeadLetters(ctx, outbox.Page{})
	for _, letter := range letters {
		s.gate.Pass("mark")
		s.marks.Store(letter.EventID, true)
	}
	return drained, err
}

func (s *stepwise) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	if _, marked := s.marks.Load(events[0].ID); marked {
		return clickid.Report{Results: []clickid.Result{{Verdict: clickid.VerdictQueued, Reason: "already known"}}}, nil
	}
	return s.Memory.Send(ctx, events...)
}

func (s *stepwise) Discard(ctx context.Context, ids ...string) (int, error) {
	letters, err := s.letters(ctx, ids)
	for _, letter := range letters {
		s.marks.Delete(letter.EventID)
	}
	if err != nil {
		return 0, err
	}
	return s.Memory.Discard(ctx, ids...)
}

func (s *stepwise) Replay(ctx context.Context, ids ...string) (int, error) {
	letters, err := s.letters(ctx, ids)
	if err != nil {
		return 0, err
	}
	for _, letter := range letters {
		s.marks.Delete(letter.EventID)
	}
	if s.fault != replaysTwice {
		return s.Memory.Replay(ctx, ids...)
	}
	for _, letter := range letters {
		if _, err := s.Discard(ctx, letter.ID); err != nil {
			return 0, err
		}
		s.gate.Pass("send")
		if _, err := s.Send(ctx, letter.Event); err != nil {
			return 0, err
		}
	}
	return len(letters), nil
}

// letters returns the dead letters with one of the IDs, or all.
func (s *stepwise) letters(ctx context.Context, ids []string) (chosen []outbox.DeadLetter, err error) {
	letters, err := s.DeadLetters(ctx, outbox.Page{})
	for _, letter := range letters {
		if len(ids) == 0 || strings.Contains(fmt.Sprint(ids), letter.ID) {
			chosen = append(chosen, letter)
		}
	}
	return chosen, err
}

func (s *stepwise) Erase(ctx context.Context, k clickid.Key) (int, error) {
	if s.fault != erasesTwice {
		return s.Memory.Erase(ctx, k)
	}
	letters, err := s.DeadLetters(ctx, outbox.Page{})
	if err != nil || len(letters) == 0 {
		return s.Memory.Erase(ctx, k)
	}
	s.gate.Pass("discard")
	return s.Discard(ctx, letters[0].ID)
}

// runInterleaved runs the operations of an outbox with a fault or with none.
func runInterleaved(t *testing.T, f fault) {
	var storage *outbox.Memory
	var marks sync.Map
	interleavetest.Run(t, interleavetest.Backend{
		Open: func(t testing.TB, cfg outbox.Config, gate *interleavetest.Gate) outbox.Drainer {
			var err error
			if storage == nil {
				storage, err = outbox.NewMemory(outbox.MemoryConfig{Delivery: cfg, AcceptLoss: true})
			} else {
				storage, err = storage.Reopen(cfg)
			}
			require.NoError(t, err)
			return &stepwise{storage, f, gate, &marks}
		},
		Stored: func(testing.TB) string { return storage.Stored() },
	})
}

func TestMemory_interleaved(t *testing.T) { runInterleaved(t, "") }

// TestFaultyInterleaved is run by TestRun_interleavedFaults in another process.
func TestFaultyInterleaved(t *testing.T) {
	if f := suitetest.Fault(); f != "" {
		t.Run("operations", func(t *testing.T) { runInterleaved(t, fault(f)) })
	}
}

// TestRun_interleavedFaults checks that interleavetest finds every operation in two
// steps.
func TestRun_interleavedFaults(t *testing.T) {
	for _, row := range []struct {
		fault fault
		found string // in the output
	}{
		{marksLate, `a delivery that makes a dead letter; a discard before the step "mark": the event was not accepted, and cannot be sent again`},
		{replaysTwice, `a replay; an erasure before the step "send": data of the event is left after the erasure`},
		{erasesTwice, `an erasure of a dead event; a replay before the step "discard": data of the event is left after the erasure`},
	} {
		t.Run(string(row.fault), func(t *testing.T) {
			t.Parallel()
			require.Contains(t, suitetest.Run(t, "TestFaultyInterleaved", "", string(row.fault)), row.found)
		})
	}
}
