package sqliteoutbox

import (
	"context"
	"log/slog"
	"strings"

	"github.com/clickid/clickid"
)

// failure is an error of package riveroutbox under the name of this package, which
// is the one that the application uses.
type failure struct{ err error }

func (f *failure) Error() string {
	return rename(f.err.Error())
}

// rename gives the name of this package to a text of package riveroutbox.
func rename(text string) string { return strings.ReplaceAll(text, "riveroutbox: ", "sqliteoutbox: ") }

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

// logHandler logs the messages of package riveroutbox under the name of this package.
type logHandler struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Message = rename(r.Message)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name)}
}

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
