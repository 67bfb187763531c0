// Package outboxtest contains two conformance suites: [Run] checks
// implementations of [outbox.Outbox], and [RunDestination] those of
// [outbox.Destination]. They check every sentence of the interface's contract:
//
//	func TestOutbox(t *testing.T) {
//		outboxtest.Run(t, func(t testing.TB) outboxtest.Backend {
//			db := openEmptyDatabase(t)
//			return outboxtest.Backend{
//				Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
//					ob, err := myoutbox.New(myoutbox.Config{Delivery: cfg, DB: db})
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

// Backend is the storage of a test. It is empty at first and is released with
// the test's Cleanup.
type Backend struct {
	// Open returns a new outbox on the storage without starting it. A test
	// opens several one after the other, like restarts, or at the same time,
	// like instances. The waits in cfg are short; the queue's own intervals
	// should be short as well. Required.
	Open func(t testing.TB, cfg outbox.Config) outbox.Outbox
	// Transact calls f with a sender in a transaction of the outbox's database.
	// It commits if f returns nil. Otherwise it rolls back and returns the error
	// of f. Nil if the outbox does not share transactions with orders.
	Transact func(ctx context.Context, ob outbox.Outbox, f func(s clickid.Sender) error) error
	// Kill ends a started outbox like a crash of its process, for example by
	// closing its connections and cancelling its contexts. A later Stop must be
	// harmless. Nil if the queue cannot simulate a crash.
	Kill func(t testing.TB, ob outbox.Outbox)
	// Lose removes the record of a queued event from the storage of an outbox
	// that is not started, as an eviction or a failover does, and leaves what
	// the queue keeps apart from it. Nil if the queue keeps both together.
	Lose func(t testing.TB, ob outbox.Outbox, identity string)
	// Single means that only one instance can be started at a time.
	Single bool
	// Exclusive means that nothing else can be stored while a transaction is open,
	// as in SQLite.
	Exclusive bool
	// Unaware means that Send does not find known events, as in an outbox table.
	Unaware bool
	// Forgets means that the storage ends with the outbox, so that no test
	// opens it twice.
	Forgets bool
	// Patience limits the time without progress, such as the time until an event
	// is rescued whose worker was killed. Defaults to 30 seconds.
	Patience time.Duration
}

const defaultPatience = 30 * time.Second

// Run runs the tests of the suite in parallel. Each has its own backend and its
// own receiver on loopback.
func Run(t *testing.T, newBackend func(t testing.TB) Backend) {
	t.Helper()
	for _, test := range []struct {
		name    string
		run     func(h *harness)
		applies func(b Backend) bool // nil: to all
	}{
		{"an event is delivered once", testDelivery, nil},
		{"an event arrives as the client would have sent it", testExactness, nil},
		{"many events share requests", testSharing, nil},
		{"an event of the same identity is stored once", testSameIdentity, nil},
		{"the type is part of the identity", testTypeIdentity, nil},
		{"Send checks events as the client does", testChecks, nil},
		{"an event that validation refuses is kept as a dead letter beside the corrected one", testRefused, nil},
		{"an event without a JSON form is kept", testNotJSON, nil},
		{"an event whose ID is not UTF-8 is found by it", testNotUTF8, nil},
		{"Send reports what is already known, and how it differs", testKnown, nil},
		{"a skipped event can be sent again", testSkippedAgain, nil},
		{"a skipped event leaves a trace, unless that is switched off", testSkipTrace, nil},
		{"metadata travels with an event", testMetadata, nil},
		{"Send with an ended context returns an error", testEndedContext, nil},
		{"a token is resolved at delivery", testToken, nil},
		{"a click that is not found yet is looked up again", testYoungToken, nil},
		{"consent is checked at delivery", testConsent, nil},
		{"a click deleted before delivery is not sent", testRecheck, nil},

		{"an outage uses no attempt", testOutages, nil},
		{"Retry-After is respected", testRetryAfter, nil},
		{"a refused configuration makes no dead letter and raises an alert", testConfiguration, nil},

		{"a refused event is dead-lettered and the others are delivered", testPoison, nil},
		{"dead letters are listed in pages, the latest first", testPaging, nil},
		{"dead letters are replayed", testReplay, nil},
		{"a replay is a new request", testReplayOfOne, nil},
		{"dead letters are discarded", testDiscard, nil},
		{"a discarded event can be sent again", testDiscardedAgain, nil},
		{"a replayed dead letter does not meet the event that was sent again", testReplayBesideSend, nil},
		{"a provisional refusal waits until another event is accepted", testProvisional, nil},
		{"a verdict of the platform gives the next request a new key", testNewKey, nil},
		{"an event beyond the maximum age is dead-lettered", testMaxAge, nil},
		{"a user's events are erased from queue and dead letters", testErase, nil},
		{"an event that is erased while it is sent is not sent again", testEraseSending, nil},
		{"an order is erased by its number, whether it is the event's ID or OrderID", testEraseByNumber, nil},
		{"Stats counts the events", testStats, nil},
		{"Find gives the state of an event", testFind, nil},
		{"an event that is skipped at once is found, and can be sent later", testSkippedAtOnce, nil},
		{"deliveries are counted by hour", testHours, nil},
		{"a tool finds and replays events without a client", testAdministration, remembers},

		{"a second Start is an error, Stop without Start is not", testStartStop, nil},
		{"cancelling the context of Start stops the delivery", testCancelledStart, nil},
		{"Stop waits for deliveries in progress", testGracefulStop, nil},
		{"Stop in an outage reports the remaining events", testStopInOutage, nil},
		{"Stop interrupts hanging deliveries at its deadline", testStopInterrupts, nil},

		{"Drain delivers what is due", testDrain, nil},
		{"Drain and Start exclude each other", testDrainAndStart, nil},
		{"the events of an earlier process are drained", testDrainAfterRestart, remembers},

		{"an identity is known after a restart", testIdentityAfterRestart, remembers},
		{"queued events are delivered after a restart", testRestart, remembers},
		{"a restart keeps dead letters", testDeadLettersAfterRestart, remembers},
		{"several instances deliver every event once", testInstances, func(b Backend) bool { return remembers(b) && !b.Single }},
		{"the events of a killed instance are delivered", testKill, func(b Backend) bool { return remembers(b) && b.Kill != nil }},

		{"a commit delivers", testCommit, transacts},
		{"a rollback sends nothing", testRollback, transacts},
		{"an event that validation refuses commits with the order", testRefusedCommit, transacts},
		{"a known event in an open transaction holds nothing up", testKnownInTransaction, transacts},

		{"a lost record is an alert and a dead letter", testLost, func(b Backend) bool { return b.Lose != nil }},

		{"a queue stores records, each identity once", testQueue, nil},
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
