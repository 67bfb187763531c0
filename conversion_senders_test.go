package clickid_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// sendFunc is a sender made of a function.
type sendFunc func(ctx context.Context, events []clickid.Event) (clickid.Report, error)

func (f sendFunc) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	return f(ctx, events)
}

// always returns a sender that has the same result for every event.
func always(r clickid.Result) clickid.Sender {
	return sendFunc(func(_ context.Context, events []clickid.Event) (clickid.Report, error) {
		var report clickid.Report
		for _, e := range events {
			r.Type, r.ID = e.Type, e.ID
			report.Results = append(report.Results, r)
		}
		return report, report.Err()
	})
}

// resolving is a sender that resolves tokens, as an outbox does.
type resolving struct{ clickid.Sender }

func (resolving) ResolvesTokens() bool { return true }

func TestSenders_verdict(t *testing.T) {
	t.Parallel()
	verdicts := []clickid.Verdict{ // from best to worst
		clickid.VerdictAccepted, clickid.VerdictQueued, clickid.VerdictReady, clickid.VerdictSkippedOrganic,
		clickid.VerdictSkippedConsent, clickid.VerdictDeadLettered, clickid.VerdictRejected, clickid.VerdictFailed,
		clickid.Verdict(99), // of a sender that is newer than this package
	}
	result := func(v clickid.Verdict) clickid.Result {
		r := clickid.Result{Verdict: v, Destination: v.String(), Reason: "because of " + v.String()}
		if v == clickid.VerdictRejected || v == clickid.VerdictFailed {
			r.Err = errors.New(v.String())
		}
		return r
	}
	for i, better := range verdicts {
		for j, other := range verdicts {
			worst := verdicts[max(i, j)]
			report, err := clickid.Senders(always(result(better)), always(result(other))).Send(context.Background(), purchase("1"))
			require.Len(t, report.Results, 1)
			got := report.Results[0]
			require.Equal(t, worst, got.Verdict, "%v and %v", better, other)
			require.Equal(t, "because of "+worst.String(), got.Reason)
			require.Len(t, got.Parts, 2)
			require.Equal(t, []string{better.String(), other.String()}, []string{got.Parts[0].Destination, got.Parts[1].Destination})
			failing := better == clickid.VerdictRejected || better == clickid.VerdictFailed || other == clickid.VerdictRejected || other == clickid.VerdictFailed
			require.Equal(t, failing, err != nil)
			require.Equal(t, failing, got.Err != nil)
		}
	}
}

func TestSenders_everyEventToEach(t *testing.T) {
	t.Parallel()
	first, second := &queue{}, &queue{}
	refused, unavailable := errors.New("other: refused"), errors.New("third: unavailable")
	list := []clickid.Sender{
		first,
		always(clickid.Result{Verdict: clickid.VerdictRejected, Err: refused, Warnings: []string{"left out: city", "unknown currency"}}),
		always(clickid.Result{Verdict: clickid.VerdictFailed, Err: unavailable, Warnings: []string{"left out: city"}}),
		second,
	}
	s := clickid.Senders(list...)
	list[0] = nil // has no effect
	events := []clickid.Event{purchase("1"), purchase("2"), purchase("3")}
	report, err := s.Send(context.Background(), events...)
	require.ErrorIs(t, err, refused)
	require.ErrorIs(t, err, unavailable)
	require.Equal(t, events, first.events)
	require.Equal(t, events, second.events)
	require.Len(t, report.Results, 3)
	for i, r := range report.Results {
		require.Equal(t, events[i].ID, r.ID)
		require.Equal(t, events[i].Type, r.Type)
		require.Equal(t, clickid.VerdictFailed, r.Verdict)
		require.ErrorIs(t, r.Err, refused)
		require.ErrorIs(t, r.Err, unavailable)
		require.Equal(t, []string{"left out: city", "unknown currency"}, r.Warnings, "each once")
		var verdicts []clickid.Verdict
		for _, part := range r.Parts {
			require.Equal(t, events[i].ID, part.ID)
			verdicts = append(verdicts, part.Verdict)
		}
		require.Equal(t, []clickid.Verdict{clickid.VerdictQueued, clickid.VerdictRejected, clickid.VerdictFailed, clickid.VerdictQueued}, verdicts)
	}
}

func TestSenders_nested(t *testing.T) {
	t.Parallel()
	queued := always(clickid.Result{Verdict: clickid.VerdictQueued})
	report, err := clickid.Senders(clickid.Senders(queued, queued), queued).Send(context.Background(), purchase("1"))
	require.NoError(t, err)
	require.Len(t, report.Results[0].Parts, 3)
}

func TestSenders_nil(t *testing.T) {
	t.Parallel()
	var none []clickid.Sender
	for name, tt := range map[string]struct {
		sender clickid.Sender
		want   string
	}{
		"no list":               {clickid.Senders(none...), "list is empty"},
		"an empty list":         {clickid.Senders(), "list is empty"},
		"an empty list in list": {clickid.Senders(&queue{}, clickid.Senders()), "list is empty"},
		"one nil":               {clickid.Senders(nil), "is nil"},
		"nil beside others":     {clickid.Senders(&queue{}, nil), "is nil"},
		"a nil client":          {clickid.Senders(&queue{}, (*capi.Client)(nil)), "client is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := tt.sender.Send(context.Background(), purchase("1"), purchase("2"))
			require.ErrorContains(t, err, tt.want)
			require.Len(t, report.Results, 2)
			for _, r := range report.Results {
				require.Equal(t, clickid.VerdictFailed, r.Verdict)
				require.ErrorContains(t, r.Err, tt.want)
			}
			result, err := clickid.Convert(context.Background(), tt.sender, purchase("1"))
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, clickid.VerdictFailed, result.Verdict)

			report, err = tt.sender.Send(context.Background())
			require.NoError(t, err)
			require.Empty(t, report.Results)
		})
	}
	q := &queue{}
	_, err := clickid.Senders(nil, q).Send(context.Background(), purchase("1"))
	require.Error(t, err)
	require.Len(t, q.events, 1, "the others have the event")
}

func TestSenders_brokenSender(t *testing.T) {
	t.Parallel()
	cause := errors.New("the sender's own error")
	queued := clickid.Result{Verdict: clickid.VerdictQueued}
	for name, broken := range map[string]sendFunc{
		"no results": func(context.Context, []clickid.Event) (clickid.Report, error) { return clickid.Report{}, cause },
		"too many results": func(context.Context, []clickid.Event) (clickid.Report, error) {
			return clickid.Report{Results: []clickid.Result{queued, queued, queued}}, cause
		},
		"no verdict": func(context.Context, []clickid.Event) (clickid.Report, error) {
			return clickid.Report{Results: make([]clickid.Result, 1)}, cause
		},
		"an error that no result has": func(context.Context, []clickid.Event) (clickid.Report, error) {
			return clickid.Report{Results: []clickid.Result{queued}}, cause
		},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := clickid.Senders(broken, always(queued)).Send(context.Background(), purchase("1"))
			require.ErrorIs(t, err, cause)
			require.Equal(t, clickid.VerdictFailed, report.Results[0].Verdict)
			require.Equal(t, clickid.VerdictFailed, report.Results[0].Parts[0].Verdict)
			require.Equal(t, "1", report.Results[0].Parts[0].ID)
			require.Equal(t, clickid.VerdictQueued, report.Results[0].Parts[1].Verdict)
			result, err := clickid.Convert(context.Background(), broken, purchase("1"))
			require.ErrorIs(t, err, cause)
			require.Equal(t, clickid.VerdictFailed, result.Verdict)
		})
	}
}

func TestSenders_resolvesTokens(t *testing.T) {
	t.Parallel()
	resolves := func(s clickid.Sender) bool { return s.(interface{ ResolvesTokens() bool }).ResolvesTokens() }
	direct := always(clickid.Result{Verdict: clickid.VerdictAccepted})
	require.True(t, resolves(clickid.Senders(&queue{}, resolving{direct})))
	require.False(t, resolves(clickid.Senders(&queue{}, direct)))
	require.False(t, resolves(clickid.Senders()))
}

func TestSenders_sharesTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hanging := sendFunc(func(ctx context.Context, _ []clickid.Event) (clickid.Report, error) {
			<-ctx.Done()
			return clickid.Report{}, ctx.Err()
		})
		q, start := &queue{}, time.Now()
		result, err := clickid.Convert(context.Background(), clickid.Senders(hanging, hanging, q), purchase("1"), clickid.ConvertTimeout(3*time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, clickid.VerdictQueued, result.Parts[2].Verdict)
		require.NoError(t, q.err)
		require.Equal(t, 2*time.Second, time.Since(start), "a second for each")
		require.Equal(t, time.Second, time.Until(q.deadline))
	})

	q := &queue{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	_, err := clickid.Senders(q).Send(ctx, purchase("1"))
	require.NoError(t, err)
	deadline, _ := ctx.Deadline()
	require.Equal(t, deadline, q.deadline, "the last one has all that is left")
}

func TestConvert_severalSenders(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	token, _ := clickid.Token(v.get("/?clkid=abc").ctx)
	p := platformtest.Responding(platformtest.OK())
	q := &queue{}
	both := clickid.Senders(newClient(t, p, ecapi), q)

	result, err := clickid.Convert(v.get("/checkout").ctx, both, order("1"))
	require.NoError(t, err)
	require.Equal(t, clickid.VerdictQueued, result.Verdict)
	require.Len(t, result.Parts, 2)
	require.Equal(t, clickid.VerdictAccepted, result.Parts[0].Verdict)
	require.Equal(t, "abc", sentClickID(t, p.Bodies[0]))
	require.Equal(t, token, q.events[0].ClickToken)

	refused := errors.New("connection refused")
	s.store.failWith(refused)
	result, err = clickid.Convert(v.get("/checkout").ctx, both, order("2"))
	require.ErrorIs(t, err, refused, "the client needs the click")
	require.Equal(t, clickid.VerdictFailed, result.Verdict)
	require.Equal(t, clickid.VerdictFailed, result.Parts[0].Verdict)
	require.Equal(t, clickid.VerdictQueued, result.Parts[1].Verdict, "the outbox needs the token only")
	require.Equal(t, token, q.events[1].ClickToken)
	require.Equal(t, 1, p.Count())
}

func TestConvert_severalSendersWithoutConsent(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Consent: func(*http.Request) clickid.Consent { return clickid.ConsentUnknown }})
	q := &queue{}
	e := order("1")
	e.Click, e.User = clickid.Click{ID: "abc"}, clickid.User{ExternalID: "customer-7"}
	result, err := clickid.Convert(s.visitor().get("/buy?clkid=abc").ctx, clickid.Senders(q, q), e)
	require.NoError(t, err)
	require.Len(t, result.Parts, 2)
	require.Len(t, q.events, 2)
	for _, sent := range q.events {
		require.Equal(t, clickid.ConsentDenied, sent.Consent)
		require.True(t, sent.Click.IsZero())
		require.Equal(t, clickid.User{}, sent.User)
	}
}

// countingLinker counts the lookups of links. It has one, of every key.
type countingLinker struct {
	clickid.Linker
	token   string
	lookUps int
}

func (l *countingLinker) Linked(context.Context, clickid.Key) (string, error) {
	l.lookUps++
	return l.token, nil
}

func TestConvertFor_severalSendersOneLookUp(t *testing.T) {
	t.Parallel()
	linker := &countingLinker{}
	s, key := newSite(t, clickid.Config{Linker: linker}), clickid.OrderKey("1")
	linker.token, _ = clickid.Token(s.visitor().get("/?clkid=abc").ctx)

	p := platformtest.Responding(platformtest.OK())
	client := newClient(t, p, ecapi)
	result, err := s.ConvertFor(context.Background(), key, clickid.Senders(client, client), order("1"))
	require.NoError(t, err)
	require.Equal(t, clickid.VerdictAccepted, result.Verdict)
	require.Equal(t, 1, linker.lookUps)
	for _, body := range p.Bodies {
		require.Equal(t, "abc", sentClickID(t, body))
	}
}

func TestReportErr_bounded(t *testing.T) {
	t.Parallel()
	report := func(n int, err func(i int) error) clickid.Report {
		var r clickid.Report
		for i := range n {
			r.Results = append(r.Results, clickid.Result{Verdict: clickid.VerdictFailed, Err: err(i)})
		}
		return r
	}
	last := errors.New("the last")
	different := func(i int) error {
		if i == 9_999 {
			return fmt.Errorf("capi: event %d: %w", i, last)
		}
		return fmt.Errorf("capi: event %d", i)
	}
	for name, tt := range map[string]struct {
		report clickid.Report
		lines  int
		end    string
	}{
		"one":                  {report(1, different), 1, "capi: event 0"},
		"ten":                  {report(10, different), 10, "capi: event 9"},
		"eleven":               {report(11, different), 11, "and 1 more"},
		"many":                 {report(10_000, different), 11, "and 9990 more"},
		"many of the same":     {report(10_000, func(int) error { return last }), 1, "the last"},
		"many of two kinds":    {report(10_000, func(i int) error { return different(i % 2) }), 2, "capi: event 1"},
		"twice ten of several": {report(2, func(i int) error { return report(10*(i+1), different).Err() }), 11, "and 10 more"},
	} {
		t.Run(name, func(t *testing.T) {
			text := tt.report.Err().Error()
			lines := strings.Split(text, "\n")
			require.Len(t, lines, tt.lines)
			require.Equal(t, tt.end, lines[len(lines)-1])
			require.Less(t, len(text), 1_000)
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				require.Contains(t, fmt.Sprintf(verb, tt.report.Err()), lines[0])
				require.Less(t, len(fmt.Sprintf(verb, tt.report.Err())), 1_000)
			}
		})
	}
	require.ErrorIs(t, report(10_000, different).Err(), last, "also those that the text leaves out")
	require.NoError(t, clickid.Report{Results: make([]clickid.Result, 3)}.Err())
}
