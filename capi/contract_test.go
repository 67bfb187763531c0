package capi_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// The names of the receiver's default account.
var (
	receiverECAPI       = capi.ECAPI{DataSetID: clickidtest.DataSetID}
	receiverLogEvent    = capi.LogEvent{EventSourceID: clickidtest.EventSourceID}
	receiverInterchange = capi.LogEvent{EventSourceID: clickidtest.EventSourceID, AdvertiserID: clickidtest.AdvertiserID}
)

// receiverClient returns a client of the receiver over HTTP. It waits at most a
// few microseconds between attempts.
func receiverClient(t testing.TB, srv *clickidtest.Server, d capi.Dialect, edits ...func(*capi.Config)) *capi.Client {
	t.Helper()
	cfg := capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: srv.URL, Dialect: d,
		Retry:     capi.Retry{BaseDelay: time.Microsecond, MaxDelay: time.Microsecond},
		RateLimit: capi.RateLimit{Requests: -1},
		Logger:    slog.New(slog.DiscardHandler),
		Timeout:   platformtest.Timeout, TotalTimeout: platformtest.TotalTimeout,
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	c, err := capi.New(cfg)
	require.NoError(t, err)
	return c
}

// onTheWay is a transport that changes requests, like a proxy.
type onTheWay func(*http.Request)

func (change onTheWay) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	change(r)
	return http.DefaultTransport.RoundTrip(r)
}

// replacing replaces old by new in the request's body.
func replacing(old, replacement string) onTheWay {
	return func(r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		changed := strings.Replace(string(body), old, replacement, 1)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
	}
}

func through(change onTheWay) func(*capi.Config) {
	return func(cfg *capi.Config) { cfg.HTTPClient = &http.Client{Transport: change} }
}

// TestContract_goldenRequests sends the golden requests to the receiver.
func TestContract_goldenRequests(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		path := "/agentic/v1/capi"
		switch {
		case strings.HasPrefix(name, "ecapi"):
			path = "/agentic/v1/events"
		case strings.HasSuffix(name, "_interchange"):
			path = "/api/v2/buyer/advertisers/adv-7/log-event"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := clickidtest.New(clickidtest.Config{
				IAB: strings.HasSuffix(name, "_iab"),
				Accounts: []clickidtest.Account{{
					APIKey: testKey, DataSets: []string{ecapi.DataSetID}, EventSources: []string{logEvent.EventSourceID}, Advertisers: []string{"adv-7"},
				}},
			})
			body, err := os.Open(file)
			require.NoError(t, err)
			defer body.Close()
			r := httptest.NewRequest(http.MethodPost, path, body)
			r.Header.Set("Authorization", "Bearer "+testKey)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			receiver.ServeHTTP(w, r)
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.NotEmpty(t, receiver.Accepted())
		})
	}
}

func withExternalID(d capi.LogEvent) capi.LogEvent {
	d.SendExternalID = true
	return d
}

// TestContract_fullEvent sends a full event in every dialect.
func TestContract_fullEvent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		dialect capi.Dialect
		iab     bool
		source  string
		uids    int
	}{
		{"ECAPI", receiverECAPI, false, "pos", 2},
		{"ECAPI with both currencies", capi.ECAPI{DataSetID: clickidtest.DataSetID, Currency: capi.CurrencyMemberBoth}, false, "pos", 2},
		{"ECAPI of the IAB", capi.ECAPI{DataSetID: clickidtest.DataSetID, IAB: true, Currency: capi.CurrencyMemberCode}, true, "physical_store", 3},
		{"LogEvent", withExternalID(receiverLogEvent), false, "in_store", 4},
		{"LogEvent at Interchange", withExternalID(receiverInterchange), false, "in_store", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := clickidtest.NewServer(t, func(cfg *clickidtest.Config) { cfg.IAB = tt.iab })
			report, err := receiverClient(t, srv, tt.dialect).Send(context.Background(), fullEvent(), purchase("order-1002"))
			require.NoError(t, err)
			require.True(t, report.Accepted())
			require.Empty(t, report.Warnings)
			events, err := srv.Wait(context.Background(), 2)
			require.NoError(t, err)
			full := events[0]
			if full.ID != "order-1001" { // ECAPI does not batch
				full = events[1]
			}
			require.Equal(t, "purchase", full.Type)
			require.Equal(t, eventTime, full.Time)
			require.Equal(t, "149.90", full.Value)
			require.Equal(t, "USD", full.Currency)
			require.Equal(t, documentedID, full.ClickID)
			require.Equal(t, "customer-42", full.ExternalID)
			require.Equal(t, tt.source, full.Source)
			require.Len(t, full.UIDs, tt.uids)
		})
	}
}

// TestContract_typesAndSources sends every documented type and source in every
// dialect.
func TestContract_typesAndSources(t *testing.T) {
	t.Parallel()
	scope3 := []clickid.EventType{
		clickid.Purchase, clickid.AddToCart, clickid.BeginCheckout, clickid.AddPaymentInfo, clickid.Lead,
		clickid.SignUp, clickid.CompleteRegistration, clickid.Subscribe, clickid.PageView, clickid.ViewContent,
	}
	all := clickid.EventTypes()
	sources := []clickid.Source{
		clickid.SourceWebsite, clickid.SourceApp, clickid.SourceInStore, clickid.SourcePhoneCall, clickid.SourceEmail, clickid.SourceChat, clickid.SourceBusinessMessaging,
		clickid.SourceOffline, clickid.SourceSystemGenerated, clickid.SourceOther,
	}
	for _, tt := range []struct {
		name    string
		dialect capi.Dialect
		iab     bool
		types   []clickid.EventType
	}{
		{"ECAPI", receiverECAPI, false, scope3},
		{"ECAPI of the IAB", capi.ECAPI{DataSetID: clickidtest.DataSetID, IAB: true}, true, all},
		{"LogEvent", receiverLogEvent, false, all},
		{"LogEvent at Interchange", receiverInterchange, false, all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := clickidtest.NewServer(t, func(cfg *clickidtest.Config) { cfg.IAB = tt.iab })
			var events []clickid.Event
			for _, kind := range tt.types {
				e := purchase("type-" + string(kind))
				e.Type = kind
				if kind == clickid.Custom {
					e.CustomName = "quiz"
				}
				if kind == clickid.WatchMilestone {
					e.Properties = map[string]any{"progress_percent": 50}
				}
				events = append(events, e)
			}
			for _, source := range sources {
				e := purchase("source-" + string(source))
				e.Source, e.PageURL = source, "https://shop.test/thanks"
				events = append(events, e)
			}
			report, err := receiverClient(t, srv, tt.dialect).Send(context.Background(), events...)
			require.NoError(t, err)
			require.True(t, report.Accepted())
			require.Equal(t, len(events), srv.Count())
		})
	}
}

// TestContract_userIdentities sends every documented kind of user identity.
func TestContract_userIdentities(t *testing.T) {
	t.Parallel()
	for _, dialect := range []capi.Dialect{receiverECAPI, capi.ECAPI{DataSetID: clickidtest.DataSetID, IAB: true}, receiverLogEvent, receiverInterchange} {
		srv := clickidtest.NewServer(t, func(cfg *clickidtest.Config) { cfg.IAB = true })
		for _, kind := range []clickid.UserIDType{
			clickid.UserIDRampID, clickid.UserIDID5, clickid.UserIDRampIDDerived, clickid.UserIDUID2, clickid.UserIDEUID, clickid.UserIDPairID,
			clickid.UserIDMAID, clickid.UserIDHashedEmail, clickid.UserIDFirstParty, clickid.UserIDWorldIDNullifier, clickid.UserIDOther,
		} {
			e := purchase(string(kind))
			e.User.IDs = []clickid.UserID{{Type: kind, Value: strings.Repeat("0a", 32)}}
			_, err := receiverClient(t, srv, dialect).Send(context.Background(), e)
			require.NoError(t, err, kind)
		}
		require.Equal(t, 11, srv.Count())
	}
}

// TestContract_unknownTypes sends types that Scope3's ECAPI refuses. The event
// is at fault.
func TestContract_unknownTypes(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	e := purchase("order-1")
	e.Type = clickid.Refund
	report, err := receiverClient(t, srv, receiverECAPI).Send(context.Background(), e)
	require.ErrorIs(t, err, clickid.ErrInvalidEvent)
	require.Equal(t, clickid.VerdictRejected, report.Results[0].Verdict)
	require.ErrorContains(t, err, "/event_type")
}

// TestContract_errors has a row for every row of the contract's tables of
// errors.
func TestContract_errors(t *testing.T) {
	t.Parallel()
	type meaning string
	const (
		event         meaning = "this event is refused"
		configuration meaning = "no event would be taken"
		refused       meaning = "either"
	)
	key := func(value string) func(*capi.Config) {
		return func(cfg *capi.Config) { cfg.APIKey = value }
	}
	dialect := func(d capi.Dialect) func(*capi.Config) {
		return func(cfg *capi.Config) { cfg.Dialect = d }
	}
	header := func(name, value string) func(*capi.Config) {
		return through(func(r *http.Request) { r.Header.Set(name, value) })
	}
	tests := []struct {
		row     string
		dialect capi.Dialect
		edit    func(*capi.Config)
		status  int
		body    string // the platform's response
		field   string
		want    meaning
		is      error
	}{
		{"400 Invalid JSON payload", receiverECAPI, through(replacing("}", "")), 400, "Invalid JSON payload", "", refused, nil},
		{"400 Validation error: a required field is missing", receiverECAPI, through(replacing(`"timestamp"`, `"timestamps"`)), 400, "Validation error", "/timestamp", event, clickid.ErrInvalidEvent},
		{"400 Validation error: no data set", receiverECAPI, through(replacing(`"data_set_id"`, `"data_set"`)), 400, "Validation error", "/data_set_id", configuration, nil},
		{"401 Unauthorized: missing", receiverECAPI, through(func(r *http.Request) { r.Header.Del("Authorization") }), 401, "Unauthorized", "", configuration, capi.ErrUnauthorized},
		{"401 Unauthorized: invalid", receiverECAPI, key("scope3_wrong"), 401, "Unauthorized", "", configuration, capi.ErrUnauthorized},
		{"403 Access denied to dataset", receiverECAPI, dialect(capi.ECAPI{DataSetID: "ds_other"}), 403, "Access denied to dataset", "", configuration, capi.ErrForbidden},
		{"415 Content-Type must be application/json", receiverECAPI, header("Content-Type", "text/plain"), 415, "Content-Type must be application/json", "", configuration, nil},
		{"404 on another path", receiverECAPI, dialect(capi.ECAPI{DataSetID: clickidtest.DataSetID, Path: "/agentic/v2/events"}), 404, "Not found", "", configuration, nil},
		{"405 with another method", receiverECAPI, through(func(r *http.Request) { r.Method = http.MethodPut }), 405, "Method not allowed", "", configuration, nil},

		{"400 BAD_REQUEST", receiverLogEvent, through(replacing("}", "")), 400, "BAD_REQUEST", "", refused, nil},
		{"400 VALIDATION_ERROR", receiverLogEvent, through(replacing(`"event_time"`, `"event_times"`)), 400, "VALIDATION_ERROR", "/events/0/event_time", event, clickid.ErrInvalidEvent},
		{"400 VALIDATION_ERROR of a shared member", receiverLogEvent, through(replacing(`"idempotency_key"`, `"idempotency"`)), 400, "VALIDATION_ERROR", "/idempotency_key", configuration, nil},
		{"REFERENCE_NOT_FOUND", receiverLogEvent, dialect(capi.LogEvent{EventSourceID: "unregistered"}), 400, "REFERENCE_NOT_FOUND", "/event_source_id", configuration, nil},
		{"401 UNAUTHORIZED", receiverLogEvent, key("scope3_wrong"), 401, "UNAUTHORIZED", "", configuration, capi.ErrUnauthorized},
		{"403 ACCESS_DENIED", receiverInterchange, dialect(capi.LogEvent{EventSourceID: clickidtest.EventSourceID, AdvertiserID: "other"}), 403, "ACCESS_DENIED", "", configuration, capi.ErrForbidden},
		{"404 NOT_FOUND", receiverInterchange, dialect(capi.LogEvent{EventSourceID: clickidtest.EventSourceID, Path: "/api/v2/log-event"}), 404, "Not found", "", configuration, nil},
		{"415 in this dialect", receiverLogEvent, header("Content-Type", "text/plain"), 415, "Content-Type must be application/json", "", configuration, nil},
	}
	for _, tt := range tests {
		t.Run(tt.row, func(t *testing.T) {
			t.Parallel()
			srv := clickidtest.NewServer(t)
			// The receiver accepts a valid event.
			_, err := receiverClient(t, srv, tt.dialect).Send(context.Background(), purchase("0"))
			require.NoError(t, err)

			report, err := receiverClient(t, srv, tt.dialect, tt.edit).Send(context.Background(), purchase("1"))
			var refusal *capi.ResponseError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, tt.status, refusal.Status())
			require.Contains(t, string(refusal.Body), tt.body)
			require.Equal(t, tt.field, refusal.Field)
			require.Equal(t, tt.want == configuration, refusal.Kind() == clickid.SendErrorConfiguration)
			require.Equal(t, tt.want == refused, refusal.Kind() == clickid.SendErrorRefused)
			require.Equal(t, tt.want == event, report.Results[0].Verdict == clickid.VerdictRejected)
			require.Equal(t, tt.want != event, report.Results[0].Verdict == clickid.VerdictFailed)
			for _, sentinel := range []error{clickid.ErrInvalidEvent, capi.ErrUnauthorized, capi.ErrForbidden} {
				require.Equal(t, sentinel == tt.is, errors.Is(err, sentinel), sentinel)
			}
			require.Len(t, srv.Requests(), 2, "the request is not repeated")
			require.Equal(t, 1, srv.Count())
		})
	}
}

// TestContract_refusedEvent sends a batch in which the platform refuses an
// event.
func TestContract_refusedEvent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		refusal  clickidtest.EventRefusal
		requests int // maximum
	}{
		{"a partial failure", clickidtest.EventRefusal{}, 1},
		{"the whole batch, named", clickidtest.EventRefusal{WholeRequest: true}, 4},
		{"the whole batch, unnamed", clickidtest.EventRefusal{WholeRequest: true, Naming: clickidtest.NamingNone}, 15},
		{"the whole batch inside a success", clickidtest.EventRefusal{WholeRequest: true, Status: 200}, 4},
		{"the whole batch as unprocessable", clickidtest.EventRefusal{WholeRequest: true, Status: 422}, 4},
	} {
		for name, dialect := range map[string]capi.Dialect{"tracking": receiverLogEvent, "interchange": receiverInterchange} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				t.Parallel()
				srv := clickidtest.NewServer(t)
				refusal := tt.refusal
				refusal.IDs = []string{"50"}
				srv.RefuseEvents(refusal)
				report, err := receiverClient(t, srv, dialect).Send(context.Background(), numbered(100)...)
				require.ErrorIs(t, err, clickid.ErrInvalidEvent)
				requireRejected(t, report, "50")
				require.Equal(t, 99, srv.Count())
				require.LessOrEqual(t, len(srv.Requests()), tt.requests)
				for _, e := range srv.Accepted() {
					require.Equal(t, 1, e.Received)
				}
			})
		}
	}
}

// TestContract_invalidEvent sends a batch with an event that breaks the
// contract and that the client does not reject.
func TestContract_invalidEvent(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		srv := clickidtest.NewServer(t, func(cfg *clickidtest.Config) { cfg.PartialFailures = partial })
		events := numbered(20)
		events[7].Type = "unheard_of"
		report, err := receiverClient(t, srv, receiverLogEvent).Send(context.Background(), events...)
		require.ErrorIs(t, err, clickid.ErrInvalidEvent)
		requireRejected(t, report, "7")
		require.Equal(t, 19, srv.Count())
	}
}

func TestContract_unprocessed(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	srv.Next(clickidtest.Fault{Unprocessed: 1})
	report, err := receiverClient(t, srv, receiverLogEvent).Send(context.Background(), numbered(3)...)
	require.NoError(t, err)
	require.True(t, report.Accepted())
	require.Equal(t, []string{"the platform received 3 events and processed 2, and names no reason: they may never be attributed"}, report.Warnings)
	require.Len(t, srv.Requests(), 1)
}

// TestContract_cutBody sends a batch to a platform that cuts the connection of
// large requests.
func TestContract_cutBody(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t, func(cfg *clickidtest.Config) { cfg.MaxBytes = 400_000 })
	report, err := receiverClient(t, srv, receiverLogEvent).Send(context.Background(), numbered(4_000)...)
	require.NoError(t, err)
	require.True(t, report.Accepted())
	require.Equal(t, 4_000, srv.Count())
}

func TestContract_backlog(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	report, err := receiverClient(t, srv, receiverLogEvent).Send(context.Background(), numbered(20_000)...)
	require.NoError(t, err)
	require.True(t, report.Accepted())
	require.Equal(t, 20_000, srv.Count())
	require.LessOrEqual(t, len(srv.Requests()), 5)
}

// TestContract_outage sends before and after the platform becomes available
// again.
func TestContract_outage(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	client := receiverClient(t, srv, receiverECAPI)
	srv.Stop()
	report, err := client.Send(context.Background(), purchase("1"))
	var transport *capi.TransportError
	require.ErrorAs(t, err, &transport)
	require.ErrorContains(t, err, "connection refused")
	require.Equal(t, clickid.VerdictFailed, report.Results[0].Verdict)
	require.NoError(t, srv.Restart())
	report, err = client.Send(context.Background(), purchase("1"))
	require.NoError(t, err)
	require.True(t, report.Accepted())
}

// TestContract_cutConnection cuts the connection at several points. The event
// is counted once.
func TestContract_cutConnection(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]clickidtest.Cut{
		"before reading":   clickidtest.CutBeforeReading,
		"after reading":    clickidtest.CutAfterReading,
		"after processing": clickidtest.CutAfterProcessing,
		"mid-response":     clickidtest.CutMidResponse,
	} {
		for dialectName, dialect := range map[string]capi.Dialect{"ECAPI": receiverECAPI, "LogEvent": receiverLogEvent, "Interchange": receiverInterchange} {
			t.Run(name+" "+dialectName, func(t *testing.T) {
				t.Parallel()
				srv := clickidtest.NewServer(t)
				srv.Next(clickidtest.Fault{Cut: cut, Times: 2})
				report, err := receiverClient(t, srv, dialect).Send(context.Background(), purchase("1"))
				require.NoError(t, err)
				require.True(t, report.Accepted())
				require.Equal(t, 1, srv.Count())
				require.Len(t, srv.Requests(), 3)
			})
		}
	}
}

// TestContract_hangingPlatform cancels a request to a platform that does not
// respond.
func TestContract_hangingPlatform(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	srv.Always(clickidtest.Fault{Hold: make(chan struct{})})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = srv.WaitRequests(ctx, 1)
		cancel()
	}()
	report, err := receiverClient(t, srv, receiverECAPI).Send(ctx, purchase("1"))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "the caller cancelled the request")
	require.Equal(t, clickid.VerdictFailed, report.Results[0].Verdict)
	require.Len(t, srv.Requests(), 1)
}

// TestContract_secrets checks that errors contain neither the key nor values
// that the platform repeats.
func TestContract_secrets(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	for _, status := range []int{200, 400, 401, 403, 422, 500} {
		srv.Next(clickidtest.Fault{Status: status, Error: clickidtest.Error{
			Code: documentedID, Message: "click " + documentedID + " of customer-42 with " + clickidtest.APIKey, Field: "/" + documentedID,
		}})
		client := receiverClient(t, srv, receiverLogEvent, func(cfg *capi.Config) { cfg.Retry.Attempts = 1 })
		_, err := client.Send(context.Background(), fullEvent())
		require.Error(t, err)
		for _, secret := range []string{documentedID, "customer-42", clickidtest.APIKey} {
			require.NotContains(t, err.Error(), secret)
		}
	}
}

// handlerTransport passes requests to a handler without a network.
type handlerTransport struct{ handler http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w.Result(), nil
}
