package sqliteoutbox

import (
	"context"
	"strings"

	"github.com/clickid/clickid"
)

// failure is an error of package riveroutbox under the name of this package, which
// is the one that the application uses.
type failure struct{ err error }

func (f *failure) Error() string {
	return strings.ReplaceAll(f.err.Error(), "riveroutbox: ", "sqliteoutbox: ")
}

func (f *failure) Unwrap() error { return f.err }

// own returns an error of package riveroutbox as one of this package.
func own(err error) error {
	if err == nil || !strings.Contains(err.Error(), "riveroutbox: ") {
		return err
	}
	return &failure{err}
}

// owned is own for the results of a method.
func owned[T any](v T, err error) (T, error) { return v, own(err) }

// sender stores events in a transaction of the application.
type sender struct {
	clickid.Sender
	outbox *Outbox
}

// Send implements [clickid.Sender].
func (s sender) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	report, err := s.Sender.Send(ctx, events...)
	if err != nil {
		for i := range report.Results {
			report.Results[i].Err = own(report.Results[i].Err)
		}
	}
	return report, own(err)
}

// ResolvesTokens reports whether the clicks of tokens are resolved at delivery; see
// [clickid.Sender].
func (s sender) ResolvesTokens() bool { return s.outbox.ResolvesTokens() }
