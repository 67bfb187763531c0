package clickid_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// queue is a sender that stores its events, as an outbox does.
type queue struct {
	events   []clickid.Event
	deadline time.Time
	err      error // of the context, when it was called
}

func (q *queue) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	q.events = append(q.events, events...)
	q.deadline, _ = ctx.Deadline()
	q.err = ctx.Err()
	report := clickid.Report{Results: make([]clickid.Result, len(events))}
	for i, e := range events {
		report.Results[i] = clickid.Result{Type: e.Type, ID: e.ID, Verdict: clickid.VerdictQueued}
	}
	return report, nil
}

// ResolvesTokens makes Convert leave the lookup to the queue.
func (q *queue) ResolvesTokens() bool { return true }

// order is a purchase whose click is for Convert to find.
func order(id string) clickid.Event {
	e := purchase(id)
	e.Click = clickid.Click{}
	return e
}

func sentClickID(t testing.TB, body []byte) string {
	t.Helper()
	var event struct {
		User struct {
			ClickID string `json:"click_id"`
		} `json:"user_data"`
	}
	require.NoError(t, json.Unmarshal(body, &event))
	return event.User.ClickID
}

func TestConvert(t *testing.T) {
	t.Parallel()
	withClick, withToken := order("1"), order("1")
	withClick.Click = testClick
	s := newSite(t, clickid.Config{})
	withToken.ClickToken, _ = clickid.Token(s.visitor().get("/?clkid=kept").ctx)
	withUser := order("1")
	withUser.User.ExternalID = "customer-7"
	tests := map[string]struct {
		target  string // the visitor's page
		earlier string // and what they did before
		event   clickid.Event
		want    string
		verdict clickid.Verdict
	}{
		"on the landing itself":                      {"/buy?clkid=abc", "", order("1"), "abc", clickid.VerdictAccepted},
		"on a later page":                            {"/checkout", "/?clkid=abc", order("1"), "abc", clickid.VerdictAccepted},
		"the event's own click wins":                 {"/buy?clkid=abc", "", withClick, testClick.ID, clickid.VerdictAccepted},
		"the event's own token wins":                 {"/buy?clkid=abc", "", withToken, "kept", clickid.VerdictAccepted},
		"an order without a click is organic":        {"/checkout", "", order("1"), "", clickid.VerdictSkippedOrganic},
		"an organic order of a known customer":       {"/checkout", "", withUser, "", clickid.VerdictAccepted},
		"the latest click":                           {"/checkout?clkid=b", "/?clkid=a", order("1"), "b", clickid.VerdictAccepted},
		"another parameter, which is not a click ID": {"/checkout?gclid=b", "", order("1"), "", clickid.VerdictSkippedOrganic},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := s.visitor()
			if tt.earlier != "" {
				v.get(tt.earlier)
			}
			p := platformtest.Responding(platformtest.OK())
			client := newClient(t, p, ecapi, func(cfg *capi.Config) { cfg.Resolver = s.Tracker })
			result, err := clickid.Convert(v.get(tt.target).ctx, client, tt.event)
			require.NoError(t, err)
			require.Equal(t, tt.verdict, result.Verdict)
			if tt.verdict != clickid.VerdictAccepted {
				require.Zero(t, p.Count())
				require.NotEmpty(t, result.Reason)
				return
			}
			require.Equal(t, tt.want, sentClickID(t, p.Bodies[0]))
		})
	}
}

func TestConvert_withoutVisitor(t *testing.T) {
	t.Parallel()
	result, err := clickid.Convert(context.Background(), newClient(t, platformtest.Responding(platformtest.OK()), ecapi), order("1"))
	require.NoError(t, err)
	require.Equal(t, clickid.VerdictSkippedOrganic, result.Verdict)

	p := platformtest.Responding(platformtest.OK())
	result, err = clickid.Convert(clickid.WithClick(context.Background(), testClick), newClient(t, p, ecapi), order("1"))
	require.NoError(t, err)
	require.Contains(t, []clickid.Verdict{clickid.VerdictAccepted, clickid.VerdictQueued}, result.Verdict)
	require.Equal(t, testClick.ID, sentClickID(t, p.Bodies[0]))
}

func TestConvert_failedLookup(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	token, _ := clickid.Token(v.get("/?clkid=abc").ctx)
	s.store.failWith(unavailable)

	t.Run("a client returns the lookup's error", func(t *testing.T) {
		p := platformtest.Responding(platformtest.OK())
		result, err := clickid.Convert(v.get("/checkout").ctx, newClient(t, p, ecapi), order("1"))
		require.ErrorIs(t, err, unavailable)
		require.Equal(t, clickid.VerdictFailed, result.Verdict)
		require.Zero(t, p.Count())
	})
	t.Run("a client asks again when it can", func(t *testing.T) {
		p := platformtest.Responding(platformtest.OK())
		client := newClient(t, p, ecapi, func(cfg *capi.Config) { cfg.Resolver = s.Tracker })
		ctx := v.get("/checkout").ctx
		_, err := clickid.Lookup(ctx)
		require.ErrorIs(t, err, unavailable)
		_, err = clickid.Convert(ctx, client, order("1"))
		require.ErrorIs(t, err, unavailable, "the store is still unavailable")
		s.store.recover()
		result, err := clickid.Convert(ctx, client, order("1"))
		require.NoError(t, err)
		require.Contains(t, []clickid.Verdict{clickid.VerdictAccepted, clickid.VerdictQueued}, result.Verdict)
		require.Equal(t, "abc", sentClickID(t, p.Bodies[0]))
		s.store.failWith(unavailable)
	})
	t.Run("an outbox queues the token", func(t *testing.T) {
		q := &queue{}
		result, err := clickid.Convert(v.get("/checkout").ctx, q, order("1"))
		require.NoError(t, err)
		require.Contains(t, []clickid.Verdict{clickid.VerdictAccepted, clickid.VerdictQueued}, result.Verdict)
		require.Equal(t, token, q.events[0].ClickToken)
		require.True(t, q.events[0].Click.IsZero())
		queued, err := json.Marshal(q.events[0])
		require.NoError(t, err, "and can store it")
		require.Contains(t, string(queued), token)
	})
	t.Run("also for a visitor whose user identity is known", func(t *testing.T) {
		q, event := &queue{}, order("1")
		event.User.ExternalID = "customer-7"
		_, err := clickid.Convert(v.get("/checkout").ctx, q, event)
		require.NoError(t, err)
		require.Equal(t, token, q.events[0].ClickToken)
	})
}

func TestConvert_cancelledContext(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	v.get("/?clkid=abc")
	gone, leave := context.WithCancel(v.get("/checkout").ctx)
	leave()
	p := platformtest.Responding(platformtest.OK())
	result, err := clickid.Convert(gone, newClient(t, p, ecapi), order("1"))
	require.NoError(t, err)
	require.Contains(t, []clickid.Verdict{clickid.VerdictAccepted, clickid.VerdictQueued}, result.Verdict)
	q := &queue{}
	_, err = clickid.Convert(gone, q, order("1"))
	require.NoError(t, err)
	require.NoError(t, q.err)
}

func TestConvert_nilSender(t *testing.T) {
	t.Parallel()
	result, err := clickid.Convert(context.Background(), nil, purchase("1"))
	require.ErrorContains(t, err, "needs a Sender")
	require.Equal(t, clickid.VerdictFailed, result.Verdict)
}

// hangingStore returns when its context ends.
type hangingStore struct{ clickid.Store }

func (hangingStore) Save(ctx context.Context, _ clickid.Click) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func (hangingStore) Load(ctx context.Context, _ string) (clickid.Click, error) {
	<-ctx.Done()
	return clickid.Click{}, ctx.Err()
}

func (hangingStore) Delete(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s hangingStore) CheckToken(token string) error {
	return s.Store.(clickid.TokenChecker).CheckToken(token)
}

// TestConvert_warnings checks that a result has the warnings of the event and
// those of the platform.
func TestConvert_warnings(t *testing.T) {
	t.Parallel()
	const event, platform = "custom_name was left out", "the currency is unusual"
	own := []string{event, "spare"}[:1] // with room for another
	s := sendFunc(func(_ context.Context, events []clickid.Event) (clickid.Report, error) {
		r := clickid.Result{Verdict: clickid.VerdictAccepted, Warnings: own}
		return clickid.Report{Results: []clickid.Result{r}, Warnings: []string{event, platform}}, nil
	})
	result, err := clickid.Convert(context.Background(), s, purchase("1"))
	require.NoError(t, err)
	require.Equal(t, []string{event, platform}, result.Warnings)
	require.Equal(t, "spare", own[:2][1])
}
