package capi_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// refusing returns a platform that refuses a log_event request with 400 if it
// contains one of the IDs. With named set, the response names the event by its
// index.
func refusing(t *testing.T, named bool, bad ...string) *platformtest.Platform {
	return &platformtest.Platform{Respond: func(_ int, body []byte) (*http.Response, error) {
		for i, id := range eventIDs(t, body) {
			if !slices.Contains(bad, id) {
				continue
			}
			field := ""
			if named {
				field = fmt.Sprintf(`,"field":"/events/%d/event_type"`, i)
			}
			return platformtest.Reply(400, `{"errors":[{"code":"VALIDATION_ERROR","message":"no"`+field+`}]}`)()
		}
		return platformtest.OK()()
	}}
}

func numbered(n int) []clickid.Event {
	events := make([]clickid.Event, n)
	for i := range events {
		events[i] = purchase(fmt.Sprint(i))
	}
	return events
}

func requireRejected(t *testing.T, report clickid.Report, bad ...string) {
	t.Helper()
	for _, result := range report.Results {
		want := clickid.VerdictAccepted
		if slices.Contains(bad, result.ID) {
			want = clickid.VerdictRejected
			require.ErrorIs(t, result.Err, clickid.ErrInvalidEvent)
			require.NotEmpty(t, result.Reason)
		} else {
			require.NoError(t, result.Err)
		}
		require.Equal(t, want, result.Verdict, result.ID)
	}
}

// requireCheapDivision checks the bounds of dividing n events with bad ones
// among them: the number of requests, and how often each event was sent.
func requireCheapDivision(t *testing.T, p *platformtest.Platform, n, bad int) {
	t.Helper()
	depth := math.Ceil(math.Log2(float64(n)))
	require.LessOrEqual(t, float64(len(p.Bodies)), 2*float64(bad)*depth+1)
	sent := make(map[string]int)
	for _, body := range p.Bodies {
		for _, id := range eventIDs(t, body) {
			sent[id]++
			require.LessOrEqual(t, float64(sent[id]), depth+2, id)
		}
	}
}

func TestClient_badEvents(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{false, true} {
		for _, bad := range [][]string{{"0"}, {"50"}, {"99"}, {"3", "4", "77"}} {
			p := refusing(t, named, bad...)
			report, err := newClient(t, p, logEvent).Send(context.Background(), numbered(100)...)
			require.ErrorIs(t, err, clickid.ErrInvalidEvent)
			requireRejected(t, report, bad...)
			requireCheapDivision(t, p, 100, len(bad))
		}
	}
}

func TestClient_manyBadEvents(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{false, true} {
		var bad []string
		for i := range 3000 {
			if i%10 == 9 {
				bad = append(bad, strconv.Itoa(i))
			}
		}
		p := refusing(t, named, bad...)
		report, err := newClient(t, p, logEvent).Send(context.Background(), numbered(3000)...)
		require.ErrorIs(t, err, clickid.ErrInvalidEvent)
		requireRejected(t, report, bad...)
		requireCheapDivision(t, p, 3000, len(bad))
	}
}

// Where every event is refused alike, the configuration may be at fault. The
// queue must not be emptied into refusals.
func TestClient_everythingRefused(t *testing.T) {
	t.Parallel()
	p := platformtest.Responding(platformtest.Reply(400, `{"error":{"code":"BAD_REQUEST"}}`))
	report, err := newClient(t, p, logEvent).Send(context.Background(), numbered(1000)...)
	require.Error(t, err)
	require.NotErrorIs(t, err, clickid.ErrInvalidEvent)
	for _, result := range report.Results {
		require.Equal(t, clickid.VerdictFailed, result.Verdict)
		var refusal clickid.SendError
		require.ErrorAs(t, result.Err, &refusal)
		require.Equal(t, clickid.SendErrorRefused, refusal.Kind())
	}
	require.Less(t, len(p.Bodies), 100)
}

func TestDeliver_partialFailure(t *testing.T) {
	t.Parallel()
	for _, refusal := range []string{
		`{"errors":[{"code":"VALIDATION_ERROR","field":"events[%d].event_type"}]}`,
		`{"data":{"errors":[{"code":"INVALID_REQUEST","issues":[{"path":["events",%d,"event_id"]}]}]}}`,
		`{"data":null,"error":{"code":"VALIDATION_ERROR","message":"x","field":"/events/%d","details":{}}}`,
		`{"errors":[{"code":"SOMETHING_NEW","recovery":"correctable","field":"$.events[%d].x"}]}`,
		`{"errors":[{"code":"SOMETHING_NEW","recovery":"terminal","field":"/events/%d/x"}]}`,
	} {
		p := &platformtest.Platform{Respond: func(_ int, body []byte) (*http.Response, error) {
			if i := slices.Index(eventIDs(t, body), "5"); i >= 0 {
				return platformtest.Reply(200, fmt.Sprintf(refusal, i))()
			}
			return platformtest.OK()()
		}}
		report, err := newClient(t, p, logEvent).Send(context.Background(), numbered(10)...)
		require.Error(t, err)
		requireRejected(t, report, "5")
		requireCheapDivision(t, p, 10, 1)
	}
}

// TestDeliver_wrongIndex covers a platform that counts events from one. It must
// not cost a valid event.
func TestDeliver_wrongIndex(t *testing.T) {
	t.Parallel()
	p := &platformtest.Platform{Respond: func(_ int, body []byte) (*http.Response, error) {
		if i := slices.Index(eventIDs(t, body), "5"); i >= 0 {
			return platformtest.Reply(422, fmt.Sprintf(`{"code":"VALIDATION_ERROR","field":"/events/%d"}`, i+1))()
		}
		return platformtest.OK()()
	}}
	report, _ := newClient(t, p, logEvent).Send(context.Background(), numbered(100)...)
	requireRejected(t, report, "5")
	require.LessOrEqual(t, len(p.Bodies), 25)
}
