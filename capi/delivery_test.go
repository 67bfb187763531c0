package capi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

func TestClient_partialFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, response string
		want           map[string]clickid.Verdict // Accepted where it names nothing
		warnings       int
		requests       int // 1 when it is 0
	}{
		{"one of three", `{"events_received":3,"events_processed":2,"partial_failures":[{"event_id":"1","code":"VALIDATION_ERROR","message":"x"}]}`,
			map[string]clickid.Verdict{"1": clickid.VerdictRejected}, 0, 0},
		{"one of two received", `{"events_received":2,"events_processed":2,"partial_failures":[{"event_id":"1","code":"VALIDATION_ERROR"}]}`,
			map[string]clickid.Verdict{"1": clickid.VerdictRejected}, 0, 0},
		{"wrapped in data", `{"data":{"events_received":3,"partial_failures":[{"event_id":"2","code":"X"}]}}`, map[string]clickid.Verdict{"2": clickid.VerdictRejected}, 0, 0},
		{"a number as ID", `{"events_received":3,"partial_failures":[{"event_id":0,"code":"X"}]}`, map[string]clickid.Verdict{"0": clickid.VerdictRejected}, 0, 0},
		{"an index instead of an ID", `{"events_received":3,"partial_failures":[{"field":"/events/2","code":"X"}]}`, map[string]clickid.Verdict{"2": clickid.VerdictRejected}, 0, 0},
		{"an ID that matches nothing and an index", `{"events_received":3,"partial_failures":[{"event_id":"x","field":"events[2].event_id","code":"X"}]}`,
			map[string]clickid.Verdict{"2": clickid.VerdictRejected}, 0, 0},
		{"a code of the setup", `{"events_received":3,"partial_failures":[{"event_id":"1","code":"REFERENCE_NOT_FOUND"}]}`, map[string]clickid.Verdict{"1": clickid.VerdictFailed}, 0, 0},
		{"a transient one is sent again", `{"events_received":3,"partial_failures":[{"event_id":"1","code":"X","recovery":"transient"}]}`,
			map[string]clickid.Verdict{"1": clickid.VerdictFailed}, 0, 3},
		{"a duplicate is accepted", `{"events_received":3,"partial_failures":[{"event_id":"1","code":"DUPLICATE_EVENT"}]}`, nil, 0, 0},
		{"an unknown ID leaves all in doubt", `{"events_received":3,"partial_failures":[{"event_id":"x","code":"X"}]}`,
			map[string]clickid.Verdict{"0": clickid.VerdictRejected, "1": clickid.VerdictRejected, "2": clickid.VerdictRejected}, 0, 5},
		{"fewer processed than received", `{"events_received":3,"events_processed":2}`, nil, 1, 0},
		{"fewer received than sent", `{"events_received":2,"events_processed":2}`,
			map[string]clickid.Verdict{"2": clickid.VerdictAccepted}, 0, 4},
		{"warnings", `{"events_received":3,"warnings":["a",{"code":"B","message":"b"},null]}`, nil, 2, 0},
		{"an empty list", `{"events_received":3,"errors":[],"error":null,"adcp_error":null,"partial_failures":[]}`, nil, 0, 0},
		{"nothing", ``, nil, 1, 0},
		{"ok", `{"status":"ok"}`, nil, 1, 0},
		{"success", `{"success":true}`, nil, 1, 0},
		{"wrong types", `{"partial_failures":"x","warnings":1,"events_received":{},"match_quality":"x"}`, nil, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := platformtest.Responding(platformtest.Reply(200, tt.response))
			c := newClient(t, p, logEvent, func(cfg *capi.Config) { cfg.Retry = capi.Retry{Attempts: 3, BaseDelay: 1, MaxDelay: 1} })
			report, _ := c.Send(context.Background(), numbered(3)...)
			require.Len(t, p.Bodies, max(1, tt.requests))
			require.Len(t, report.Warnings, tt.warnings, "%q", report.Warnings)
			for _, result := range report.Results {
				want, ok := tt.want[result.ID]
				if !ok {
					want = clickid.VerdictAccepted
				}
				require.Equal(t, want, result.Verdict, result.ID)
				require.Equal(t, want != clickid.VerdictAccepted, result.Err != nil)
			}
		})
	}
}

func TestSend_matchQuality(t *testing.T) {
	t.Parallel()
	p := &platformtest.Platform{Respond: func(_ int, body []byte) (*http.Response, error) {
		if len(eventIDs(t, body)) == 3 {
			return platformtest.Reply(200, `{"events_received":3,"match_quality":0.5}`)()
		}
		return platformtest.Reply(200, `{"events_received":1,"match_quality":1}`)()
	}}
	c := newClient(t, p, logEvent, func(cfg *capi.Config) { cfg.MaxBatchEvents = 3 })
	report, err := c.Send(context.Background(), numbered(4)...)
	require.NoError(t, err)
	require.InDelta(t, 0.625, *report.MatchQuality, 1e-9)
}

func TestECAPI_2xx(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 204} {
		for _, body := range []string{"", "OK", `{"error":"Validation error"}`, `{"errors":[{"code":"X"}]}`} {
			report, err := newClient(t, platformtest.Responding(platformtest.Reply(status, body)), ecapi).Send(context.Background(), purchase("1"))
			require.NoError(t, err)
			require.True(t, report.Accepted())
			require.Equal(t, strings.Contains(body, "err"), len(report.Warnings) == 1)
		}
	}
}

// TestResponseError_refusals has a row for each kind of refusal.
func TestResponseError_refusals(t *testing.T) {
	t.Parallel()
	type meaning string
	const (
		event         meaning = "event"
		temporary     meaning = "temporary"
		configuration meaning = "configuration"
		refused       meaning = "refused"
	)
	tests := []struct {
		name    string
		dialect capi.Dialect
		status  int
		body    string
		want    meaning
		is      error
	}{
		{"malformed JSON", ecapi, 400, `{"error":"Invalid JSON payload"}`, refused, nil},
		{"validation", ecapi, 400, `{"error":"Validation error","details":["timestamp is required"]}`, event, clickid.ErrInvalidEvent},
		{"validation of the data set", ecapi, 400, `{"error":"Validation error","details":["data_set_id is unknown"]}`, configuration, nil},
		{"wrong key", ecapi, 401, `{"error":"Unauthorized"}`, configuration, capi.ErrUnauthorized},
		{"wrong data set", ecapi, 403, `{"error":"Access denied to dataset"}`, configuration, capi.ErrForbidden},
		{"wrong content type", ecapi, 415, `{"error":"Content-Type must be application/json"}`, configuration, nil},
		{"no body at all", ecapi, 400, ``, refused, nil},
		{"HTML", logEvent, 404, `<html>`, configuration, nil},
		{"bad request", logEvent, 400, `{"error":{"code":"BAD_REQUEST"}}`, refused, nil},
		{"HTML for 400", logEvent, 400, `<html>`, refused, nil},
		{"a field of the event", logEvent, 400, `{"errors":[{"code":"VALIDATION_ERROR","field":"user_match.click_id"}]}`, event, clickid.ErrInvalidEvent},
		{"a path in the details", logEvent, 400, `{"data":null,"error":{"code":"VALIDATION_ERROR","details":{"issues":[{"path":["events",0,"event_time"],"message":"x"}]}}}`, event, clickid.ErrInvalidEvent},
		{"unprocessable", logEvent, 422, `{"errors":[{"code":"VALIDATION_ERROR","field":"/events/0/event_id"}]}`, event, clickid.ErrInvalidEvent},
		{"unregistered source", logEvent, 400, `{"errors":[{"code":"REFERENCE_NOT_FOUND"}]}`, configuration, nil},
		{"unregistered source in a success", logEvent, 200, `{"errors":[{"code":"REFERENCE_NOT_FOUND"}]}`, configuration, nil},
		{"a member of the request", logEvent, 400, `{"errors":[{"code":"VALIDATION_ERROR","field":"/event_source_id"}]}`, configuration, nil},
		{"unauthorised in a success", logEvent, 200, `{"data":null,"error":{"code":"UNAUTHORIZED"}}`, configuration, capi.ErrUnauthorized},
		{"access denied", logEvent, 403, `{"error":{"code":"ACCESS_DENIED"}}`, configuration, capi.ErrForbidden},
		{"terms", logEvent, 403, `{"error":{"code":"TOS_ACCEPTANCE_REQUIRED"}}`, configuration, capi.ErrForbidden},
		{"terms as 400", logEvent, 400, `{"error":{"code":"tos_acceptance_required"}}`, configuration, capi.ErrForbidden},
		{"terminal", logEvent, 400, `{"errors":[{"code":"ACCOUNT_SUSPENDED","recovery":"terminal"}]}`, configuration, nil},
		{"not found", logEvent, 404, `{"error":{"code":"NOT_FOUND"}}`, configuration, nil},
		{"method not allowed", logEvent, 405, ``, configuration, nil},
		{"payment required", logEvent, 402, ``, configuration, nil},
		{"gone", logEvent, 410, ``, configuration, nil},
		{"redirect", logEvent, 302, ``, configuration, nil},
		{"not modified", logEvent, 304, ``, configuration, nil},
		{"conflict", logEvent, 409, `{"error":{"code":"CONFLICT"}}`, temporary, nil},
		{"HTML in a success", logEvent, 200, `<html>`, configuration, nil},
		{"HTML in a success of ECAPI", ecapi, 200, ` <!doctype html>`, configuration, nil},
		{"JSON cut short", logEvent, 200, `{"events_received":`, configuration, nil},
		{"JSON of ECAPI cut short", ecapi, 200, `{"ok":`, configuration, nil},
		{"another JSON type", logEvent, 200, `[1]`, configuration, nil},
		{"none received", logEvent, 200, `{"events_received":0}`, temporary, nil},
		{"adcp_error", logEvent, 200, `{"adcp_error":{"code":"X"}}`, temporary, nil},
		{"failed", logEvent, 200, `{"status":"failed"}`, temporary, nil},
		{"no success", logEvent, 200, `{"success":false}`, temporary, nil},
		{"submitted", logEvent, 200, `{"status":"submitted"}`, temporary, nil},
		{"an unknown status", logEvent, 200, `{"status":"odd","events_received":1}`, temporary, nil},
		{"auth-required", logEvent, 200, `{"status":"auth-required"}`, configuration, nil},
		{"too large by itself", logEvent, 413, ``, event, clickid.ErrInvalidEvent},
		{"request timeout", logEvent, 408, ``, temporary, nil},
		{"too early", logEvent, 425, ``, temporary, nil},
		{"too many requests", logEvent, 429, `{"error":{"code":"RATE_LIMITED"}}`, temporary, nil},
		{"internal error", logEvent, 500, `{"error":{"code":"INTERNAL_ERROR"}}`, temporary, nil},
		{"unavailable", logEvent, 503, `{"error":{"code":"SERVICE_UNAVAILABLE"}}`, temporary, nil},
		{"gateway", logEvent, 502, `<html>`, temporary, nil},
		{"transient by its recovery", logEvent, 400, `{"errors":[{"code":"BUSY","recovery":"transient"}]}`, temporary, nil},
		{"unknown in a success", logEvent, 200, `{"errors":[{"code":"SOMETHING_NEW"}]}`, temporary, nil},
		{"a bare text in a success", logEvent, 200, `{"error":"no"}`, temporary, nil},
		{"correctable in a success", logEvent, 200, `{"errors":[{"code":"SOMETHING_NEW","recovery":"correctable"}]}`, refused, nil},
		{"rate limited in a success", logEvent, 200, `{"errors":[{"code":"RATE_LIMITED"}]}`, temporary, nil},
		{"the request weighs more than its events", logEvent, 400, `{"errors":[{"code":"VALIDATION_ERROR"},{"code":"REFERENCE_NOT_FOUND"}]}`, configuration, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := platformtest.Responding(platformtest.Reply(tt.status, tt.body))
			c := newClient(t, p, tt.dialect, func(cfg *capi.Config) { cfg.Retry = capi.Retry{Attempts: 2, BaseDelay: 1, MaxDelay: 1} })
			report, err := c.Send(context.Background(), purchase("1"))
			var refusal *capi.ResponseError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, tt.status, refusal.Status())
			require.Equal(t, tt.body, string(refusal.Body))
			require.Equal(t, tt.want == event, refusal.Kind() == clickid.SendErrorEvent)
			require.Equal(t, tt.want == configuration, refusal.Kind() == clickid.SendErrorConfiguration)
			require.Equal(t, tt.want == refused, refusal.Kind() == clickid.SendErrorRefused)
			verdict, requests := clickid.VerdictFailed, 1
			switch tt.want {
			case event:
				verdict = clickid.VerdictRejected
			case temporary:
				requests = 2
			}
			require.Equal(t, verdict, report.Results[0].Verdict)
			require.Len(t, p.Bodies, requests)
			for _, sentinel := range []error{clickid.ErrInvalidEvent, capi.ErrUnauthorized, capi.ErrForbidden} {
				require.Equal(t, sentinel == tt.is, errors.Is(err, sentinel), sentinel)
			}
		})
	}
}

func TestDeliver_duplicate(t *testing.T) {
	t.Parallel()
	report, err := newClient(t, platformtest.Responding(platformtest.Reply(409, `{"error":{"code":"DUPLICATE_EVENT"}}`)), logEvent).Send(context.Background(), purchase("1"))
	require.NoError(t, err)
	require.True(t, report.Accepted())
}

// TestSend_configurationRefused checks that a wrong configuration costs one
// request, not one per event.
func TestSend_configurationRefused(t *testing.T) {
	t.Parallel()
	p := platformtest.Responding(platformtest.Reply(401, ``))
	c := newClient(t, p, ecapi, func(cfg *capi.Config) { cfg.Concurrency = 1 })
	report, err := c.Send(context.Background(), numbered(50)...)
	require.ErrorIs(t, err, capi.ErrUnauthorized)
	require.Len(t, p.Bodies, 1)
	for i, result := range report.Results {
		require.Equal(t, clickid.VerdictFailed, result.Verdict)
		require.Equal(t, i > 0, errors.Is(result.Err, capi.ErrNotSent))
		require.ErrorIs(t, result.Err, capi.ErrUnauthorized)
	}
}

func TestSend_batchLimits(t *testing.T) {
	t.Parallel()
	events := numbered(100)
	for i := range events {
		events[i].Properties = map[string]any{"padding": strings.Repeat("x", i*10)}
	}
	p := platformtest.Responding(platformtest.OK())
	c := newClient(t, p, logEvent, func(cfg *capi.Config) { cfg.MaxBatchEvents, cfg.MaxBatchBytes = 30, 16<<10 })
	report, err := c.Send(context.Background(), events...)
	require.NoError(t, err)
	require.True(t, report.Accepted())
	var ids []string
	for _, body := range p.Bodies {
		require.LessOrEqual(t, len(body), 16<<10)
		batch := eventIDs(t, body)
		require.LessOrEqual(t, len(batch), 30)
		ids = append(ids, batch...)
	}
	require.Len(t, ids, 100)
	require.LessOrEqual(t, len(p.Bodies), 6)
}

func TestSend_manyEvents(t *testing.T) {
	t.Parallel()
	p := platformtest.Responding(platformtest.OK())
	report, err := newClient(t, p, logEvent).Send(context.Background(), numbered(20_000)...)
	require.NoError(t, err)
	require.True(t, report.Accepted())
	require.LessOrEqual(t, len(p.Bodies), 5)
}

func TestSend_sameEvent(t *testing.T) {
	t.Parallel()
	p := platformtest.Responding(platformtest.Reply(200, `{"partial_failures":[{"event_id":"b","code":"X"}]}`))
	report, err := newClient(t, p, logEvent).Send(context.Background(), purchase("a"), purchase("b"), purchase("a"), purchase("b"))
	require.Error(t, err)
	require.Equal(t, []clickid.Verdict{clickid.VerdictAccepted, clickid.VerdictRejected, clickid.VerdictAccepted, clickid.VerdictRejected}, verdicts(report))
	require.Len(t, p.Bodies, 1)
	require.Equal(t, []string{"a", "b"}, eventIDs(t, p.Bodies[0]))
}

// TestSend_sameID sends two types of one ID. They are sent in different
// requests, since partial failures identify events only by their ID.
func TestSend_sameID(t *testing.T) {
	t.Parallel()
	refund := purchase("a")
	refund.Type = clickid.Refund
	p := &platformtest.Platform{Respond: func(_ int, body []byte) (*http.Response, error) {
		if strings.Contains(string(body), `"refund"`) {
			return platformtest.Reply(200, `{"partial_failures":[{"event_id":"a","code":"X"}]}`)()
		}
		return platformtest.OK()()
	}}
	report, err := newClient(t, p, logEvent).Send(context.Background(), purchase("a"), refund, purchase("b"))
	require.Error(t, err)
	require.Equal(t, []clickid.Verdict{clickid.VerdictAccepted, clickid.VerdictRejected, clickid.VerdictAccepted}, verdicts(report))
	require.Len(t, p.Bodies, 2)
}

func TestDeliver_cutBody(t *testing.T) {
	t.Parallel()
	for _, cut := range []error{syscall.ECONNRESET, io.EOF, syscall.EPIPE} {
		p := &platformtest.Platform{Respond: func(_ int, body []byte) (*http.Response, error) {
			if len(body) > 300_000 {
				return nil, fmt.Errorf("write tcp: %w", cut)
			}
			return platformtest.OK()()
		}}
		report, err := newClient(t, p, logEvent).Send(context.Background(), numbered(4_000)...)
		require.NoError(t, err)
		require.True(t, report.Accepted())
		require.LessOrEqual(t, len(p.Bodies), 8)
	}
}

func TestDeliver_tooLarge(t *testing.T) {
	t.Parallel()
	p := &platformtest.Platform{Respond: func(_ int, body []byte) (*http.Response, error) {
		if len(eventIDs(t, body)) > 3 {
			return platformtest.Reply(413, ``)()
		}
		return platformtest.OK()()
	}}
	report, err := newClient(t, p, logEvent).Send(context.Background(), numbered(10)...)
	require.NoError(t, err)
	require.True(t, report.Accepted())
}

// resolver is a Resolver for tests.
type resolver func(token string) (clickid.Click, error)

func (r resolver) Resolve(_ context.Context, token string) (clickid.Click, error) { return r(token) }

func TestSend_clickToken(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("store is unavailable")
	resolve := resolver(func(token string) (clickid.Click, error) {
		switch token {
		case "known":
			return testClick, nil
		case "gone":
			return clickid.Click{}, clickid.ErrNotFound
		case "forged":
			return clickid.Click{}, fmt.Errorf("store: %w", clickid.ErrInvalid)
		}
		return clickid.Click{}, unavailable
	})
	tests := []struct {
		token    string
		user     clickid.User
		resolver clickid.Resolver
		want     clickid.Verdict
		check    clickid.Verdict
	}{
		{"known", clickid.User{}, resolve, clickid.VerdictAccepted, clickid.VerdictReady},
		{"gone", clickid.User{}, resolve, clickid.VerdictSkippedOrganic, clickid.VerdictReady},
		{"gone", clickid.User{IDs: []clickid.UserID{clickid.ID5("x")}}, resolve, clickid.VerdictAccepted, clickid.VerdictReady},
		{"forged", clickid.User{}, resolve, clickid.VerdictSkippedOrganic, clickid.VerdictReady},
		{"unavailable", clickid.User{}, resolve, clickid.VerdictFailed, clickid.VerdictReady},
		{"unavailable", clickid.User{ExternalID: "c-1"}, resolve, clickid.VerdictFailed, clickid.VerdictReady},
		{"known", clickid.User{}, nil, clickid.VerdictFailed, clickid.VerdictFailed},
	}
	for _, tt := range tests {
		p := platformtest.Responding(platformtest.OK())
		c := newClient(t, p, logEvent, func(cfg *capi.Config) { cfg.Resolver = tt.resolver })
		e := purchase("1")
		e.Click, e.ClickToken, e.User = clickid.Click{}, tt.token, tt.user
		require.Equal(t, tt.check, c.Check(e).Verdict, tt.token)
		report, err := c.Send(context.Background(), e)
		require.Equal(t, tt.want, report.Results[0].Verdict, tt.token)
		require.Equal(t, tt.want == clickid.VerdictFailed, err != nil)
		if tt.token == "unavailable" {
			require.ErrorIs(t, err, unavailable)
		}
		if tt.token == "known" && tt.want == clickid.VerdictAccepted {
			require.Contains(t, string(p.Bodies[0]), documentedID)
		}
	}
}

func TestSend_consent(t *testing.T) {
	t.Parallel()
	for consent, want := range map[clickid.Consent]clickid.Verdict{
		clickid.ConsentUnknown: clickid.VerdictAccepted,
		clickid.ConsentGranted: clickid.VerdictAccepted,
		clickid.ConsentDenied:  clickid.VerdictSkippedConsent,
	} {
		e := purchase("1")
		e.Consent = consent
		p := platformtest.Responding(platformtest.OK())
		report, err := newClient(t, p, logEvent).Send(context.Background(), e)
		require.NoError(t, err)
		require.Equal(t, want, report.Results[0].Verdict)
		require.Equal(t, want == clickid.VerdictAccepted, p.Count() == 1)
	}
}

func TestSend_order(t *testing.T) {
	t.Parallel()
	invalid, organic, denied := purchase(""), purchase("organic"), purchase("denied")
	organic.Click = clickid.Click{}
	denied.Consent = clickid.ConsentDenied
	report, err := newClient(t, platformtest.Responding(platformtest.OK()), logEvent).Send(context.Background(), purchase("a"), invalid, organic, denied, purchase("b"))
	require.ErrorIs(t, err, clickid.ErrInvalidEvent)
	require.Equal(t, []clickid.Verdict{clickid.VerdictAccepted, clickid.VerdictRejected, clickid.VerdictSkippedOrganic, clickid.VerdictSkippedConsent, clickid.VerdictAccepted}, verdicts(report))
	require.Equal(t, []string{"a", "", "organic", "denied", "b"}, []string{
		report.Results[0].ID, report.Results[1].ID, report.Results[2].ID, report.Results[3].ID, report.Results[4].ID,
	})
}

func TestSend_eventsUnchanged(t *testing.T) {
	t.Parallel()
	e := fullEvent()
	e.User.IDs = append(make([]clickid.UserID, 0, 8), e.User.IDs...)
	before, err := json.Marshal(e)
	require.NoError(t, err)
	_, err = newClient(t, platformtest.Responding(platformtest.OK()), logEvent).Send(context.Background(), e)
	require.NoError(t, err)
	after, err := json.Marshal(e)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	require.Empty(t, e.User.IDs[:4][3], "the caller's array is not changed")
}
