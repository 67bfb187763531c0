package sqliteoutbox

import (
	"database/sql"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// TestOutbox_In_failure commits a transaction after a Send that failed at its second
// event.
func TestOutbox_In_failure(t *testing.T) {
	t.Parallel()
	ob, db, _ := openRecorded(t)
	_, err := db.ExecContext(t.Context(), `CREATE TRIGGER fault BEFORE INSERT ON river_job
		WHEN EXISTS (SELECT 1 FROM river_job) BEGIN SELECT RAISE(ABORT, 'refused by a trigger'); END`)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if report, err := ob.In(tx).Send(t.Context(), purchase("1"), purchase("2"), purchase("3")); err == nil {
		t.Errorf("Send reports %+v", report)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if stats, err := ob.Stats(t.Context()); err != nil || stats.Queued != 0 {
		t.Errorf("%+v, %v: want no event", stats, err)
	}
}

// TestOutbox_In_unprepared stores events in a process that neither migrates nor
// delivers.
func TestOutbox_In_unprepared(t *testing.T) {
	t.Parallel()
	_, db, _ := openRecorded(t)
	ob, err := New(db, Config{Delivery: outbox.Config{Destination: accepting{}}})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", known} {
		report, err := ob.In(tx).Send(t.Context(), purchase("1"))
		if err != nil || report.Results[0].Verdict != clickid.VerdictQueued || report.Results[0].Reason != want {
			t.Errorf("%+v, %v", report, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if stats, err := ob.Stats(t.Context()); err != nil || stats.Queued != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
}

// TestOutbox_In_otherPool stores an event in a transaction of another pool on the
// outbox's file.
func TestOutbox_In_otherPool(t *testing.T) {
	t.Parallel()
	ob, db, _ := openRecorded(t)
	var number int
	var name, path string
	if err := db.QueryRowContext(t.Context(), `PRAGMA database_list`).Scan(&number, &name, &path); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := ob.In(tx).Send(t.Context(), purchase("1"))
	if err != nil || report.Results[0].Verdict != clickid.VerdictQueued {
		t.Errorf("%+v, %v", report, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if stats, err := ob.Stats(t.Context()); err != nil || stats.Queued != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
}
