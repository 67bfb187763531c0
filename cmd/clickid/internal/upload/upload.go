// Package upload sends the events of a file: CSV or NDJSON, validated as a
// whole before the first of them is sent, and continued where an earlier run
// was interrupted.
package upload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/cmd/clickid/internal/fields"
	"github.com/clickid/clickid/outbox"
)

// Formats of a file.
const (
	FormatCSV    = "csv"
	FormatNDJSON = "ndjson"
)

// Platform is the destination of an upload.
type Platform interface {
	clickid.Sender
	outbox.Destination
}

// Config configures an upload.
type Config struct {
	Input     *Input
	Format    string            // "" detects it
	Delimiter rune              // of CSV; 0 detects it
	Map       map[string]string // columns by field
	Ignore    []string          // columns that are left out
	Fields    fields.Options

	Platform    Platform
	Batch       int // events between two checkpoints
	DryRun      bool
	SkipInvalid bool   // send the valid rows of a file with invalid ones
	Checkpoint  string // path; "" keeps none
	Restart     bool   // ignore the checkpoint
	Rejects     string // path
	Progress    Progress
}

// Progress shows how far an upload is.
type Progress interface {
	// Start begins a phase of a number of rows; 0 means that it is unknown.
	Start(phase string, rows int)
	Advance(rows int)
	Finish()
}

// Totals are the numbers of rows.
type Totals struct {
	Rows     int `json:"rows"`
	Invalid  int `json:"invalid"`  // refused here
	Accepted int `json:"accepted"` // by the platform
	Rejected int `json:"rejected"` // by the platform
	Warnings int `json:"warnings"` // rows with a field that was left out, or with a known ID

	// LeftOut are the reasons of Warnings, and Platform the warnings of the
	// platform about accepted rows, each text once and at most maxTexts.
	LeftOut  []LeftOut `json:"left_out,omitempty"`
	Platform []string  `json:"platform_warnings,omitempty"`
}

// LeftOut is why a field was left out, or another warning.
type LeftOut struct {
	Line   int    `json:"line"` // of the first row
	Rows   int    `json:"rows"`
	Reason string `json:"reason"`
}

// maxTexts limits the texts of warnings.
const maxTexts = 20

// leaveOut counts a row with the reasons why fields are left out.
func (t *Totals) leaveOut(line int, reasons []string) {
	if len(reasons) > 0 {
		t.Warnings++
	}
	for _, reason := range reasons {
		i := slices.IndexFunc(t.LeftOut, func(l LeftOut) bool { return l.Reason == reason })
		switch {
		case i >= 0:
			t.LeftOut[i].Rows++
		case len(t.LeftOut) < maxTexts:
			t.LeftOut = append(t.LeftOut, LeftOut{Line: line, Rows: 1, Reason: reason})
		}
	}
}

// warn keeps the warnings of the platform. The others are in LeftOut.
func (t *Totals) warn(report clickid.Report) {
	ours := make(map[string]bool)
	for _, result := range report.Results {
		for _, text := range result.Warnings {
			ours[text] = true
		}
	}
	for _, text := range report.Warnings {
		if len(t.Platform) < maxTexts && !ours[text] && !slices.Contains(t.Platform, text) {
			t.Platform = append(t.Platform, text)
		}
	}
}

// ErrInvalidRows means that nothing was sent, since some rows are invalid.
var ErrInvalidRows = errors.New("nothing was sent")

// ErrDone means that an earlier run has sent the file.
var ErrDone = errors.New("the file has been sent before; -restart sends it again")

// Run validates the file and sends it. It returns an error unless every row was
// either accepted by the platform or, with SkipInvalid, refused here.
func (c Config) Run(ctx context.Context) (Totals, error) {
	for _, path := range []string{c.Checkpoint, c.Rejects} {
		unlock, err := lock(path)
		if err != nil {
			return Totals{}, err
		}
		defer unlock()
	}
	if err := checkRejects(c.Rejects); err != nil {
		return Totals{}, err
	}
	u := &upload{Config: c, rejects: rejects{path: Partial(c.Rejects)}}
	_ = os.Remove(u.rejects.path)
	totals, err := u.run(ctx)
	err = errors.Join(err, u.rejects.close())
	if u.rejects.path != c.Rejects {
		_ = os.Remove(u.rejects.path) // the run ended before the list was complete
	}
	return totals, err
}

type upload struct {
	Config
	rejects rejects
	seen    *identities // of the rows that validate has checked; nil while sending
}

func (u *upload) run(ctx context.Context) (Totals, error) {
	found, fingerprint, err := u.validate(ctx)
	if err != nil {
		return found, err
	}
	if u.DryRun || found.Invalid > 0 && !u.SkipInvalid {
		err := u.rejects.replace(u.Rejects)
		if err == nil && found.Invalid > 0 {
			err = fmt.Errorf("%w: %d of %d rows are invalid; see %s", ErrInvalidRows, found.Invalid, found.Rows, u.Rejects)
		}
		return found, err
	}
	point, err := loadCheckpoint(u.Checkpoint, fingerprint, u.Restart)
	if err != nil {
		return found, err
	}
	if point.Rows > 0 || point.Done {
		u.rejects.resume(u.Rejects)
	} else if err := u.rejects.replace(u.Rejects); err != nil {
		return found, err
	}
	if point.Done {
		return point.Totals, ErrDone
	}
	found.Accepted, found.Rejected, found.Platform = point.Totals.Accepted, point.Totals.Rejected, point.Totals.Platform
	point.Totals = found
	if err := point.save(); err != nil { // before anything is sent, which it could not record
		return found, err
	}
	err = u.send(ctx, point)
	if err == nil && point.Totals.Rejected > 0 {
		err = fmt.Errorf("the platform rejected %d rows; see %s", point.Totals.Rejected, u.Rejects)
	}
	return point.Totals, err
}

// validate checks every row without sending. The fingerprint identifies content,
// mapping and destination.
func (u *upload) validate(ctx context.Context) (t Totals, fingerprint string, err error) {
	sum := u.newSum()
	u.seen = newIdentities()
	defer func() { u.seen = nil }()
	u.Progress.Start("Checking", 0)
	defer u.Progress.Finish()
	err = u.each(ctx, sum, func(line int, e clickid.Event, problem *fields.Problem) error {
		t.Rows++
		u.Progress.Advance(1)
		if problem == nil {
			problem = u.check(line, e, &t)
		}
		if problem == nil {
			return nil
		}
		t.Invalid++
		return u.rejects.add(line, e.ID, problem.Field, problem.Reason)
	})
	return t, fingerprintOf(sum), err
}

// newSum returns the hash for a fingerprint, before the content.
func (u *upload) newSum() hash.Hash {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q", u.Platform.Name(), u.Input.Encoding, u.settings())
	return sum
}

func fingerprintOf(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)) }

// settings describes what else decides about the events of a file.
func (u *upload) settings() string {
	f, mapped := u.Fields, make([]string, 0, len(u.Map))
	for _, field := range slices.Sorted(maps.Keys(u.Map)) {
		mapped = append(mapped, field+"="+u.Map[field])
	}
	return fmt.Sprint(u.Format, u.Delimiter, mapped, u.Ignore, f.Location, f.TimeLayout, f.Region, f.Hash, f.Type, f.Currency, f.Source)
}

// check returns why an event would not be sent, or nil.
func (u *upload) check(line int, e clickid.Event, t *Totals) *fields.Problem {
	result := u.Platform.Check(e)
	switch result.Verdict {
	case clickid.VerdictReady:
		warnings := result.Warnings
		if u.seen.repeats(e) {
			warnings = append(slices.Clip(warnings), "the row has the type and the ID of an earlier row; the platform counts them once")
		}
		t.leaveOut(line, warnings)
		return nil
	case clickid.VerdictSkippedOrganic:
		return &fields.Problem{Field: "click", Reason: "has neither a click ID nor an identity, so it cannot be attributed"}
	case clickid.VerdictSkippedConsent:
		return &fields.Problem{Field: "consent", Reason: "is denied"}
	}
	var invalid *clickid.EventError
	if errors.As(result.Err, &invalid) && len(invalid.Fields) > 0 {
		return &fields.Problem{Field: invalid.Fields[0].Field, Reason: invalid.Reason()}
	}
	return &fields.Problem{Reason: result.Reason}
}

// each calls f with every row. raw gets the bytes of the file.
func (u *upload) each(ctx context.Context, raw io.Writer, f func(line int, e clickid.Event, problem *fields.Problem) error) error {
	text, err := u.Input.Text(raw)
	if err != nil {
		return err
	}
	list, err := u.rows(text)
	if err != nil {
		return fmt.Errorf("%s: %w", u.Input.Name, err)
	}
	for ctx.Err() == nil {
		line, e, err := list.next()
		var problem *fields.Problem
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.As(err, &problem):
			return fmt.Errorf("%s: %w", u.Input.Name, err)
		}
		if err := f(line, e, problem); err != nil {
			return err
		}
	}
	return errInterrupted
}

var errInterrupted = errors.New("interrupted; the same command continues")

var errChanged = errors.New("the file changed while it was sent; copy it and send the copy, the platform counts no event twice")

// send sends the rows after the checkpoint.
func (u *upload) send(ctx context.Context, point *checkpoint) error {
	u.Progress.Start("Sending", point.Totals.Rows)
	defer u.Progress.Finish()
	u.Progress.Advance(point.Rows)
	b := batch{upload: u, point: point}
	row, sum := 0, u.newSum()
	err := u.each(ctx, sum, func(line int, e clickid.Event, problem *fields.Problem) error {
		switch row++; {
		case row <= point.Rows:
			return nil
		case row > point.Totals.Rows:
			return errChanged
		}
		if problem == nil && u.check(line, e, new(Totals)) == nil {
			b.lines, b.events = append(b.lines, line), append(b.events, e)
		}
		if b.rows++; b.rows < u.Batch {
			return nil
		}
		return b.send(ctx)
	})
	if err == nil && fingerprintOf(sum) != point.Fingerprint {
		err = errChanged
	}
	if err == nil {
		err = b.send(ctx)
	}
	if err != nil {
		return err
	}
	point.Done = true
	return point.save()
}

// batch is the events between two checkpoints. A batch that is sent again after
// a crash has the same requests, which the platform recognises.
type batch struct {
	*upload
	point  *checkpoint
	rows   int // with those that are not sent
	lines  []int
	events []clickid.Event
}

func (b *batch) send(ctx context.Context) error {
	if len(b.events) > 0 {
		totals, err := b.deliver(ctx)
		if err != nil {
			return err
		}
		b.point.Totals = totals
	}
	b.point.Rows += b.rows
	b.Progress.Advance(b.rows)
	b.rows, b.lines, b.events = 0, b.lines[:0], b.events[:0]
	return errors.Join(b.rejects.flush(), b.point.save())
}

// deliver sends the events and returns the totals after them. It returns an
// error if an event was neither accepted nor rejected.
func (b *batch) deliver(ctx context.Context) (Totals, error) {
	totals := b.point.Totals
	report, err := b.Platform.Send(ctx, b.events...)
	if len(report.Results) != len(b.events) {
		return totals, fmt.Errorf("sending: %w", err)
	}
	totals.warn(report)
	type refusal struct{ line, index int }
	var refused []refusal
	for i, result := range report.Results {
		switch result.Verdict {
		case clickid.VerdictAccepted:
			totals.Accepted++
		case clickid.VerdictRejected:
			totals.Rejected++
			refused = append(refused, refusal{b.lines[i], i})
		default:
			if ctx.Err() != nil {
				return totals, errInterrupted
			}
			return totals, fmt.Errorf("sending: %w; the same command continues", result.Err)
		}
	}
	for _, r := range refused {
		if err := b.rejects.add(r.line, b.events[r.index].ID, "", report.Results[r.index].Reason); err != nil {
			return totals, err
		}
	}
	return totals, nil
}
