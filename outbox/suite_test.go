package outbox_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/suitetest"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	"github.com/stretchr/testify/require"
)

// fault describes how a queue violates the contract.
type fault string

const (
	loses            fault = "loses an event in ten"
	sendsTwice       fault = "knows no identities"
	forgetsDelivered fault = "forgets what it has delivered"
	mixesTypes       fault = "leaves the type out of the identity"
	sendsAtOnce      fault = "sends before it stores"
	keepsNoKeys      fault = "keeps no keys to erase by"
	checksNothing    fault = "ignores the context of Send"
	backdates        fault = "loses the time of queueing"
	forgetsStopped   fault = "loses everything when it stops"
	losesKilled      fault = "loses what a killed process was delivering"
	deaf             fault = "reports no alerts"
	asksNoConsent    fault = "asks for no consent"
	rechecksNothing  fault = "does not look at clicks again"
	ageless          fault = "has no maximum event age"
	impatient        fault = "interrupts at once"
	patient          fault = "overstays the deadline of Stop"
	countsNothing    fault = "reports that nothing remains"
	startsTwice      fault = "starts twice"
	listsBackwards   fault = "lists the oldest dead letters first"
	pagesNothing     fault = "ignores the page"
	replaysAnything  fault = "replays all for an unknown ID"
	discardsAnything fault = "discards all for no ID"
	erasesNothing    fault = "erases nothing"
	erasesForNobody  fault = "takes the zero key"
	measuresNothing  fault = "measures nothing"
	commitsAlways    fault = "ignores a rollback"
	refusesLoudly    fault = "returns an error for what validation refuses"
	dropsRefused     fault = "drops what validation refuses"
	knowsNothing     fault = "does not report what is known"
	keepsSkipped     fault = "keeps the identity of skipped events"
	keepsDiscarded   fault = "keeps the identity of discarded events"
	findsNoWarnings  fault = "finds no warnings"
	countsSkips      fault = "counts skipped events as deliveries"
	tracesNoSkips    fault = "remembers no skips"
	tracesSkips      fault = "remembers skips that it shall forget"
	dropsMetadata    fault = "drops metadata"
	forgetsProgress  fault = "forgets the progress of an event"
	keepsNoNumbers   fault = "does not erase by the event's ID"
	takesNoTime      fault = "takes the absence of a new click for final"
	findsNoDelivered fault = "does not find what it has delivered"
	findsSkips       fault = "finds skipped events as delivered"
	findsNoReasons   fault = "finds events without the reason"
	findsByOrder     fault = "finds other events of the order"
	startsTools      fault = "starts without a client"
	drainsNothing    fault = "does not deliver when it is drained"
	drainsStarted    fault = "drains beside its own delivery"
	losesReplayed    fault = "loses a replayed event that is sent again"
	holdsUp          fault = "holds everything up while a transaction repeats a known event"
	losesSilently    fault = "loses a record without an alert"
	deliversLost     fault = "counts a lost record as delivered"
	erasesWaiting    fault = "does not erase what it is sending"
	keepsNoCodes     fault = "drops the codes of attempts"
)

// faulty is an outbox with a fault.
type faulty struct {
	*outbox.Memory
	fault fault
	sent  map[string]bool // identities

	mu   sync.Mutex
	open bool            // a transaction that holds everything up
	held []clickid.Event // until it ends
}

func (f *faulty) Enqueue(ctx context.Context, records []outbox.Record) (map[string]string, error) {
	records = slices.Clone(records)
	for i := range records {
		r := &records[i]
		switch f.fault {
		case sendsTwice:
			id := make([]byte, 32)
			if _, err := rand.Read(id); err != nil {
				return nil, err
			}
			r.Identity = hex.EncodeToString(id)
		case mixesTypes:
			e, err := r.Event()
			if err != nil {
				return nil, err
			}
			r.Identity = hex.EncodeToString([]byte(e.ID))
		case keepsNoKeys:
			r.Keys = nil
		case keepsNoNumbers:
			r.Keys = slices.DeleteFunc(slices.Clone(r.Keys), func(key string) bool {
				e, err := r.Event()
				hash, hashErr := outbox.KeyHash(clickid.OrderKey(e.ID))
				return err == nil && hashErr == nil && key == hash
			})
		case dropsMetadata:
			r.Metadata = nil
		case backdates:
			r.QueuedAt = r.QueuedAt.Add(-time.Hour)
		}
	}
	switch f.fault {
	case loses:
		records = slices.DeleteFunc(records, func(r outbox.Record) bool { return r.Identity[0] == '0' || r.Identity[0] == '1' })
	case dropsRefused:
		records = slices.DeleteFunc(records, func(r outbox.Record) bool { return r.Refused != "" })
	case forgetsDelivered:
		f.ForgetDelivered()
	case keepsSkipped, keepsDiscarded, losesReplayed:
		records = slices.DeleteFunc(records, func(r outbox.Record) bool {
			known := f.sent[r.Identity]
			f.sent[r.Identity] = true
			return known
		})
	case checksNothing:
		ctx = context.WithoutCancel(ctx)
	}
	known, err := f.Memory.Enqueue(ctx, records)
	if f.fault == knowsNothing {
		known = nil
	}
	return known, err
}

func (f *faulty) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	if f.fault == sendsAtOnce {
		_, records := f.Delivery().Admit(ctx, events...)
		for _, r := range records {
			f.Delivery().Deliver(ctx, r, 1)
		}
	}
	if f.hold(events) {
		report, _ := f.Delivery().Admit(ctx, events...)
		return report, report.Err()
	}
	report, err := f.Delivery().Sender(f).Send(ctx, events...)
	if f.fault == refusesLoudly && slices.ContainsFunc(report.Results, func(r clickid.Result) bool { return r.Verdict == clickid.VerdictDeadLettered }) {
		err = clickid.ErrInvalidEvent
	}
	return report, err
}

// hold keeps events while a transaction holds everything up.
func (f *faulty) hold(events []clickid.Event) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open {
		f.held = append(f.held, events...)
	}
	return f.open
}

func (f *faulty) Start(ctx context.Context) error {
	err := f.Memory.Start(ctx)
	if f.fault == startsTwice || f.fault == startsTools {
		return nil
	}
	return err
}

func (f *faulty) Stop(ctx context.Context) (int, error) {
	switch f.fault {
	case impatient:
		ended, cancel := context.WithCancel(ctx)
		cancel()
		n, _ := f.Memory.Stop(ended)
		return n, nil
	case patient:
		longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), 12*time.Second)
		defer cancel()
		return f.Memory.Stop(longer)
	case countsNothing:
		_, err := f.Memory.Stop(ctx)
		return 0, err
	}
	return f.Memory.Stop(ctx)
}

func (f *faulty) DeadLetters(ctx context.Context, page outbox.Page) ([]outbox.DeadLetter, error) {
	if f.fault == pagesNothing {
		page = outbox.Page{}
	}
	letters, err := f.Memory.DeadLetters(ctx, page)
	switch f.fault {
	case listsBackwards:
		slices.Reverse(letters)
	case keepsNoCodes:
		for i := range letters {
			letters[i].History = slices.Clone(letters[i].History)
			for j := range letters[i].History {
				letters[i].History[j].Code = ""
			}
		}
	}
	return letters, err
}

func (f *faulty) Replay(ctx context.Context, ids ...string) (int, error) {
	if f.fault == losesReplayed {
		letters, err := f.Memory.DeadLetters(ctx, outbox.Page{})
		for _, letter := range letters {
			ids = append(ids, letter.ID)
		}
		if err != nil {
			return 0, err
		}
		return f.Memory.Discard(ctx, ids...)
	}
	n, err := f.Memory.Replay(ctx, ids...)
	if f.fault == replaysAnything && n == 0 {
		return f.Memory.Replay(ctx)
	}
	return n, err
}

func (f *faulty) Discard(ctx context.Context, ids ...string) (int, error) {
	if f.fault == discardsAnything && len(ids) == 0 {
		letters, err := f.Memory.DeadLetters(ctx, outbox.Page{})
		if err != nil {
			return 0, err
		}
		for _, letter := range letters {
			ids = append(ids, letter.ID)
		}
	}
	return f.Memory.Discard(ctx, ids...)
}

func (f *faulty) Erase(ctx context.Context, k clickid.Key) (int, error) {
	switch {
	case f.fault == erasesNothing && !k.IsZero():
		return 0, nil
	case f.fault == erasesWaiting:
		return f.EraseWaiting(ctx, k)
	case f.fault == erasesForNobody && k.IsZero():
		return 0, nil
	}
	return f.Memory.Erase(ctx, k)
}

func (f *faulty) Find(ctx context.Context, eventID string, types ...clickid.EventType) ([]outbox.Entry, error) {
	entries, err := f.Memory.Find(ctx, eventID, types...)
	switch f.fault {
	case findsNoDelivered:
		entries = slices.DeleteFunc(entries, func(e outbox.Entry) bool { return e.State == outbox.StateDelivered })
	case findsByOrder:
		other, err := f.Memory.Find(ctx, "another", types...)
		return append(entries, other...), err
	}
	for i := range entries {
		switch f.fault {
		case findsNoReasons:
			entries[i].Reason = ""
		case findsNoWarnings:
			entries[i].Warnings = nil
		case findsSkips:
			if entries[i].State == outbox.StateSkipped {
				entries[i].State = outbox.StateDelivered
			}
		}
	}
	return entries, err
}

func (f *faulty) DeliveredByHour(ctx context.Context, from, to time.Time) ([]outbox.HourCount, error) {
	hours, err := f.Memory.DeliveredByHour(ctx, from, to)
	if f.fault == countsSkips {
		stats, _ := f.Memory.Stats(ctx)
		for i := range hours {
			hours[i].Delivered += stats.Skipped
		}
	}
	return hours, err
}

func (f *faulty) Drain(ctx context.Context) (outbox.Drained, error) {
	if f.fault == drainsNothing {
		return outbox.Drained{}, nil
	}
	drained, err := f.Memory.Drain(ctx)
	if f.fault == drainsStarted && errors.Is(err, outbox.ErrStarted) {
		err = nil
	}
	return drained, err
}

func (f *faulty) Stats(ctx context.Context) (outbox.Stats, error) {
	stats, err := f.Memory.Stats(ctx)
	if f.fault == measuresNothing {
		stats.Delivered, stats.Oldest = 0, 0
	}
	return stats, err
}

// transaction keeps events until its commit.
type transaction struct {
	*faulty
	events []clickid.Event
}

func (tx *transaction) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	report, _ := tx.Delivery().Admit(ctx, events...)
	tx.events = append(tx.events, events...)
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.open = tx.fault == holdsUp
	return report, report.Err()
}

// end ends the transaction.
func (tx *transaction) end() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.open = false
	tx.events = append(tx.events, tx.held...)
}

// runSuite runs the suite on an outbox with a fault or with none.
func runSuite(t *testing.T, f fault, patience time.Duration) {
	outboxtest.Run(t, func(testing.TB) outboxtest.Backend {
		var last *outbox.Memory
		return outboxtest.Backend{
			Open: func(t testing.TB, cfg outbox.Config) outbox.Outbox {
				switch f {
				case deaf:
					cfg.Hook = nil
				case asksNoConsent:
					cfg.Consent = nil
				case rechecksNothing:
					cfg.RecheckClick = false
				case tracesNoSkips:
					cfg.ForgetSkips = true
				case tracesSkips:
					cfg.ForgetSkips = false
				case ageless:
					cfg.MaxAge = 0
				}
				var err error
				if last == nil || f == forgetsStopped {
					last, err = outbox.NewMemory(outbox.MemoryConfig{Delivery: cfg, AcceptLoss: true})
				} else {
					last, err = last.Reopen(cfg)
				}
				require.NoError(t, err)
				switch f {
				case forgetsProgress:
					last.ForgetProgress()
				case takesNoTime:
					last.SetTokenAge(0)
				}
				return &faulty{Memory: last, fault: f, sent: make(map[string]bool)}
			},
			Transact: func(ctx context.Context, ob outbox.Outbox, use func(clickid.Sender) error) error {
				tx := &transaction{faulty: ob.(*faulty)}
				err := use(tx)
				tx.end()
				if err != nil && f != commitsAlways {
					return err
				}
				_, err = ob.Send(ctx, tx.events...)
				return err
			},
			Kill: func(_ testing.TB, ob outbox.Outbox) {
				ob.(*faulty).Kill()
				if f == losesKilled {
					last = nil
				}
			},
			Lose: func(_ testing.TB, ob outbox.Outbox, identity string) {
				ob.(*faulty).Memory.Lose(identity, f == losesSilently, f == deliversLost)
			},
			Patience: patience,
		}
	})
}

// TestMemory_conformance runs the whole suite. The storage of an outbox in
// memory can be opened again within the process.
func TestMemory_conformance(t *testing.T) { runSuite(t, "", 0) }

// TestFaultyOutbox is run by TestRun_faultyOutbox in another process.
func TestFaultyOutbox(t *testing.T) {
	if f := suitetest.Fault(); f != "" {
		runSuite(t, fault(f), time.Second)
	}
}

// TestRun_faultyOutbox checks that the suite fails for every fault.
func TestRun_faultyOutbox(t *testing.T) {
	for _, row := range []struct {
		fault fault
		test  string // that must fail
	}{
		{loses, "many events share requests"},
		{sendsTwice, "an event of the same identity is stored once"},
		{sendsTwice, "a queue stores records, each identity once"},
		{forgetsDelivered, "an event of the same identity is stored once"},
		{forgetsDelivered, "an identity is known after a restart"},
		{mixesTypes, "the type is part of the identity"},
		{sendsAtOnce, "an event is delivered once"},
		{keepsNoKeys, "a user's events are erased from queue and dead letters"},
		{checksNothing, "Send with an ended context returns an error"},
		{backdates, "a refused event is dead-lettered and the others are delivered"},
		{forgetsStopped, "queued events are delivered after a restart"},
		{forgetsStopped, "a restart keeps dead letters"},
		{losesKilled, "the events of a killed instance are delivered"},
		{drainsNothing, "Drain delivers what is due"},
		{drainsNothing, "the events of an earlier process are drained"},
		{drainsStarted, "Drain and Start exclude each other"},
		{deaf, "a refused configuration makes no dead letter and raises an alert"},
		{asksNoConsent, "consent is checked at delivery"},
		{rechecksNothing, "a click deleted before delivery is not sent"},
		{ageless, "an event beyond the maximum age is dead-lettered"},
		{impatient, "Stop waits for deliveries in progress"},
		{patient, "Stop interrupts hanging deliveries at its deadline"},
		{countsNothing, "Stop in an outage reports the remaining events"},
		{startsTwice, "a second Start is an error, Stop without Start is not"},
		{listsBackwards, "dead letters are listed in pages, the latest first"},
		{pagesNothing, "dead letters are listed in pages, the latest first"},
		{replaysAnything, "dead letters are replayed"},
		{discardsAnything, "dead letters are discarded"},
		{erasesNothing, "a user's events are erased from queue and dead letters"},
		{erasesForNobody, "a user's events are erased from queue and dead letters"},
		{measuresNothing, "Stats counts the events"},
		{commitsAlways, "a rollback sends nothing"},
		{refusesLoudly, "an event that validation refuses is kept as a dead letter beside the corrected one"},
		{dropsRefused, "an event that validation refuses is kept as a dead letter beside the corrected one"},
		{dropsRefused, "an event without a JSON form is kept"},
		{dropsRefused, "an event that validation refuses commits with the order"},
		{knowsNothing, "Send reports what is already known, and how it differs"},
		{keepsSkipped, "a skipped event can be sent again"},
		{findsNoWarnings, "Find gives the state of an event"},
		{countsSkips, "deliveries are counted by hour"},
		{tracesNoSkips, "an event that is skipped at once is found, and can be sent later"},
		{tracesSkips, "a skipped event leaves a trace, unless that is switched off"},
		{dropsMetadata, "metadata travels with an event"},
		{keepsDiscarded, "a discarded event can be sent again"},
		{forgetsProgress, "a provisional refusal waits until another event is accepted"},
		{takesNoTime, "a click that is not found yet is looked up again"},
		{findsNoDelivered, "Find gives the state of an event"},
		{findsSkips, "Find gives the state of an event"},
		{findsNoReasons, "Find gives the state of an event"},
		{findsByOrder, "Find gives the state of an event"},
		{startsTools, "a tool finds and replays events without a client"},
		{losesReplayed, "a replayed dead letter does not meet the event that was sent again"},
		{holdsUp, "a known event in an open transaction holds nothing up"},
		{losesSilently, "a lost record is an alert and a dead letter"},
		{deliversLost, "a lost record is an alert and a dead letter"},
		{erasesWaiting, "an event that is erased while it is sent is not sent again"},
		{keepsNoCodes, "a provisional refusal waits until another event is accepted"},
		{forgetsProgress, "a verdict of the platform gives the next request a new key"},
		{keepsNoNumbers, "an order is erased by its number, whether it is the event's ID or OrderID"},
	} {
		t.Run(string(row.fault)+": "+row.test, func(t *testing.T) {
			t.Parallel()
			suitetest.Run(t, "TestFaultyOutbox", row.test, string(row.fault))
		})
	}
}
