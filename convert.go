package clickid

import (
	"context"
	"errors"
	"time"
)

// DefaultConvertTimeout is how long [Convert] takes at most.
const DefaultConvertTimeout = 10 * time.Second

// ConvertOption changes one call of [Convert].
type ConvertOption func(*convertOptions)

type convertOptions struct {
	timeout time.Duration
}

// ConvertTimeout bounds the whole call, look-up and sending with all retries.
// Defaults to 10 seconds, as does a d that is not positive; a checkout that
// waits for it may want less.
func ConvertTimeout(d time.Duration) ConvertOption {
	return func(o *convertOptions) {
		if d > 0 {
			o.timeout = d
		}
	}
}

// errNoSender is what an order gets instead of a panic, which would break its
// page.
var errNoSender = errors.New("clickid: Convert was given no Sender: a Client or an outbox is missing")

// Convert is what a shop calls when an order completes: it finds the visitor's
// click in ctx and hands the event to s.
//
// A Click or ClickToken in the event wins over the visitor's. An order without
// a click is organic: nothing is sent, the report says so, and that is no
// error. When the look-up fails, the order is not mistaken for an organic one:
// the event keeps the visitor's token, which an outbox queues and resolves at
// delivery, and for which a [Client] returns the look-up's error.
//
// The event of a visitor who denied consent is skipped, and so is that of one
// who has not answered, unless [Config].SendUnknown is set. Consent in the
// event itself wins over the visitor's.
//
// The call outlives the visitor's connection: it ignores the cancellation of
// ctx, but not its deadline, and ends within 10 seconds unless
// [ConvertTimeout] says otherwise. A platform that asks to wait longer
// (Retry-After) makes it return at once with an error that says so. The error
// is non-nil exactly when the event failed.
func Convert(ctx context.Context, s Sender, e Event, options ...ConvertOption) (Report, error) {
	if s == nil {
		report := Report{Results: []Result{failure(&e, errNoSender)}}
		return report, report.Err()
	}
	o := convertOptions{timeout: DefaultConvertTimeout}
	for _, option := range options {
		option(&o)
	}
	ctx, cancel := detached(ctx, o.timeout)
	defer cancel()

	if v := visitFrom(ctx); v != nil && e.Consent == ConsentUnknown {
		switch consent := v.currentConsent(); {
		case consent == ConsentDenied:
			e.Consent = ConsentDenied
		case consent == ConsentUnknown && !v.tracker.sendUnknown:
			return Report{Results: []Result{{
				Type: e.Type, ID: e.ID, Verdict: SkippedConsent,
				Reason: "the visitor's consent is unknown",
			}}}, nil
		}
	}
	if e.Click.IsZero() && e.ClickToken == "" && e.Consent != ConsentDenied {
		click, err := Lookup(ctx)
		if !errors.Is(err, ErrNotFound) {
			// Beside a known click, the token tells an outbox whether the
			// click was deleted meanwhile.
			e.ClickToken, _ = Token(ctx)
			e.Click, e.lookupErr = click, err
		}
	}
	return s.Send(ctx, e)
}
