package capi_test

import (
	"context"
	"errors"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/stretchr/testify/require"
)

// TestResponse_forms holds the client to the meaning of each form of response,
// and docs/reliability.md to the same list.
func TestResponse_forms(t *testing.T) {
	t.Parallel()
	for _, form := range platformtest.Forms() {
		t.Run(form.Name, func(t *testing.T) {
			t.Parallel()
			dialect := logEvent
			if form.Interchange {
				dialect.AdvertiserID = "adv"
			}
			client := newClient(t, platformtest.Responding(form.Respond), dialect, func(cfg *capi.Config) {
				cfg.Retry = capi.Retry{Attempts: 2, BaseDelay: 1, MaxDelay: 1}
			})
			report, err := client.Send(context.Background(), purchase("1"))
			result := report.Results[0]
			column := "accepted"
			switch {
			case form.Accepted:
				require.NoError(t, err)
				require.Equal(t, clickid.VerdictAccepted, result.Verdict)
				require.Equal(t, form.Warned, len(report.Warnings) > 0, report.Warnings)
				if form.Warned {
					column = "accepted, with a warning"
				}
			default:
				var refusal clickid.SendError
				require.True(t, errors.As(result.Err, &refusal))
				require.Equal(t, form.Kind, refusal.Kind(), refusal.Error())
				verdict := clickid.VerdictFailed
				if form.Kind == clickid.SendErrorEvent {
					verdict = clickid.VerdictRejected
				}
				require.Equal(t, verdict, result.Verdict)
				column = verdict.String() + ": " + form.Kind.String()
			}
			reliabilitytest.Compare(t, form.Name, "client", column)
		})
	}
}

// TestResponse_wrongTypes has successful responses with members of a wrong JSON
// type. The count decides about the event, and an error or a status of any type
// is one.
func TestResponse_wrongTypes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		body string
		want string
	}{
		{`{"events_received":"1"}`, "accepted"},
		{`{"events_received":1,"events_processed":"all"}`, "accepted"},
		{`{"events_received":1,"events_processed":null,"match_quality":"high"}`, "accepted"},
		{`{"events_received":1,"match_quality":[0.5],"warnings":"none"}`, "accepted"},
		{`{"events_received":1,"partial_failures":{}}`, "accepted"},
		{`{"events_received":1,"partial_failures":[null,7,"1"]}`, "accepted"},
		{`{"events_received":1,"error":null}`, "accepted"},
		{`{"events_received":1,"errors":[],"error":"","adcp_error":false}`, "accepted"},
		{`{"events_received":1,"status":null,"success":"no"}`, "accepted"},
		{`{"data":[],"events_received":1}`, "accepted"},
		{`{"events_received":true}`, "configuration"},
		{`{"events_received":[1]}`, "configuration"},
		{`{"events_received":null}`, "configuration"},
		{`{"data":"ok"}`, "configuration"},
		{`{"events_received":-1}`, "temporary"},
		{`{"events_received":0.5}`, "temporary"},
		{`{"events_received":1,"status":200}`, "temporary"},
		{`{"events_received":1,"errors":{}}`, "temporary"},
		{`{"events_received":1,"error":true}`, "temporary"},
		{`{"events_received":1,"errors":"quota"}`, "temporary"},
		{`{"events_received":1,"errors":[7]}`, "temporary"},
		{`{"events_received":1,"error":{"code":7,"field":{},"retry_after":"soon"}}`, "temporary"},
		{`{"events_received":1,"errors":[{"code":"VALIDATION_ERROR","field":["events",0]}]}`, "event"},
	} {
		dialect := logEvent
		dialect.AdvertiserID = "adv" // the endpoint of Interchange requires the count
		client := newClient(t, platformtest.Responding(platformtest.Reply(200, row.body)), dialect, func(cfg *capi.Config) {
			cfg.Retry = capi.Retry{Attempts: 1}
		})
		report, err := client.Send(context.Background(), purchase("1"))
		got := report.Results[0].Verdict.String()
		var refusal clickid.SendError
		if errors.As(err, &refusal) {
			got = refusal.Kind().String()
		}
		require.Equal(t, row.want, got, row.body)
	}
}

// TestRefusals holds the client to the guide's table of what is refused or
// skipped before a request.
func TestRefusals(t *testing.T) {
	t.Parallel()
	client := newClient(t, platformtest.Responding(platformtest.OK()), logEvent)
	for _, refusal := range reliabilitytest.Refusals() {
		e := purchase("refusal")
		refusal.Edit(&e)
		reliabilitytest.Compare(t, refusal.Name, "client", reliabilitytest.Verdict(t, client, e))
	}
}
