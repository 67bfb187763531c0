// Package outboxtest is the conformance suite of outboxes: every sentence in
// the comment of [outbox.Outbox], and what a shop relies on beyond them. An
// engine of one's own is an outbox when it passes.
//
//	func TestOutbox(t *testing.T) {
//		outboxtest.Run(t, func(t testing.TB) outboxtest.Backend {
//			db := openEmptyDatabase(t)
//			return outboxtest.Backend{
//				Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
//					ob, err := myoutbox.New(myoutbox.Config{Config: cfg, DB: db})
//					if err != nil {
//						t.Fatal(err)
//					}
//					return ob
//				},
//			}
//		})
//	}
package outboxtest

import (
	"context"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// Backend is the storage of one test, empty at first, and what can be done
// with it. What it needs to be cleaned up is registered with the test's
// Cleanup.
type Backend struct {
	// Open returns an outbox on the storage, not started. A test opens several
	// one after the other, as restarts do, and several at once, as instances
	// do. The waits in cfg are short; intervals of the engine's own should be
	// too. Required.
	Open func(t testing.TB, cfg outbox.Config) outbox.Outbox
	// Transact calls f with a sender in a transaction of the outbox's
	// database, commits when f returns nil, and rolls back and returns its
	// error otherwise. Left out where the outbox shares no transaction with
	// the orders.
	Transact func(ctx context.Context, ob outbox.Outbox, f func(s clickid.Sender) error) error
	// Kill ends a started outbox as a crash of its process would, without
	// Stop: such as by closing its connections and cancelling its contexts. A
	// Stop that follows does no harm. Left out where that cannot be imitated.
	Kill func(t testing.TB, ob outbox.Outbox)
	// Single says that one instance delivers at a time, and that another is
	// not started meanwhile.
	Single bool
	// Forgets says that the storage ends with the outbox, so that no test
	// opens it twice.
	Forgets bool
	// Patience is how long a test waits for what must happen at last, such as
	// the rescue of an event whose worker was killed. Defaults to 30 seconds.
	Patience time.Duration
}

const defaultPatience = 30 * time.Second

// Run runs the suite, each of its tests with a backend of its own, in
// parallel. It starts a receiver on loopback for each.
func Run(t *testing.T, newBackend func(t testing.TB) Backend) {
	t.Helper()
	for _, test := range []struct {
		name    string
		run     func(h *harness)
		applies func(b Backend) bool // nil: to all
	}{
		{"what is sent is delivered once", testDelivery, nil},
		{"an event arrives as the client would have sent it", testExactness, nil},
		{"many events share requests", testSharing, nil},
		{"an event of the same identity is taken once", testSameIdentity, nil},
		{"the type is part of the identity", testTypeIdentity, nil},
		{"Send checks events as the client does", testChecks, nil},
		{"Send with an ended context fails and says so", testEndedContext, nil},
		{"a token is resolved at delivery", testToken, nil},
		{"consent is asked for at delivery", testConsent, nil},
		{"a click that was deleted meanwhile is not sent", testRecheck, nil},

		{"an outage uses no attempt", testOutages, nil},
		{"a wait that the platform asks for is kept", testRetryAfter, nil},
		{"a refused configuration dead-letters nothing and raises an alarm", testConfiguration, nil},

		{"a refused event is dead-lettered and the others are delivered", testPoison, nil},
		{"dead letters are listed in pages, the latest first", testPaging, nil},
		{"dead letters are replayed", testReplay, nil},
		{"a replay is a new request", testReplayOfOne, nil},
		{"dead letters are discarded", testDiscard, nil},
		{"an event past the horizon is dead-lettered", testHorizon, nil},
		{"a person's events are erased from queue and dead letters", testErase, nil},
		{"the queue is measured", testStats, nil},

		{"starting twice is an error, stopping what was not started is none", testStartStop, nil},
		{"cancelling the context of Start stops the delivery", testCancelledStart, nil},
		{"Stop waits for what is under way", testGracefulStop, nil},
		{"Stop in an outage reports what remains", testStopInOutage, nil},
		{"Stop interrupts what hangs at its deadline", testStopInterrupts, nil},

		{"an identity is known after a restart", testIdentityAfterRestart, remembers},
		{"a restart delivers what was queued", testRestart, remembers},
		{"a restart keeps dead letters", testDeadLettersAfterRestart, remembers},
		{"several instances deliver every event once", testInstances, func(b Backend) bool { return remembers(b) && !b.Single }},
		{"what a killed instance was delivering is delivered", testKill, func(b Backend) bool { return remembers(b) && b.Kill != nil }},

		{"a commit delivers", testCommit, transacts},
		{"a rollback sends nothing", testRollback, transacts},

		{"a queue takes records, each identity once", testQueue, nil},
		{"a record of a newer version waits", testNewerVersion, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t)
			if b.Open == nil {
				t.Fatal("Backend.Open is required")
			}
			if test.applies == nil || test.applies(b) {
				test.run(newHarness(t, b))
			}
		})
	}
}

func remembers(b Backend) bool { return !b.Forgets }
func transacts(b Backend) bool { return b.Transact != nil }
