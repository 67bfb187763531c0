package capi_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// configurationCodes are the codes of AdCP and the REST API about the caller or
// its setup.
var configurationCodes = []string{
	"AUTH_REQUIRED", "AUTH_INVALID", "AUTH_EXPIRED", "AUTH_MISSING", "AUTH_TOKEN_INVALID", "PERMISSION_DENIED",
	"SCOPE_INSUFFICIENT", "SCOPE_MISSING", "SCOPE_DENIED", "READ_ONLY_SCOPE", "FIELD_NOT_PERMITTED",
	"ACCOUNT_NOT_FOUND", "ACCOUNT_SUSPENDED", "ACCOUNT_PAYMENT_REQUIRED", "ACCOUNT_SETUP_REQUIRED", "ACCOUNT_AMBIGUOUS", "ACCOUNT_REQUIRED",
	"ACCOUNT_INACTIVE", "ACCOUNT_CLOSED", "AUTHORIZATION_REQUIRED", "AUTHORIZATION_EXPIRED", "AUTHORIZATION_DENIED",
	"BRAND_REQUIRED", "VERSION_UNSUPPORTED", "UNSUPPORTED_FEATURE", "BILLING_NOT_SUPPORTED", "BILLING_REQUIRED", "BILLING_SUSPENDED",
	"BUDGET_EXHAUSTED", "BUDGET_TOO_LOW", "BUDGET_EXCEEDED", "INVALID_API_KEY", "REFERENCE_NOT_FOUND", "TOS_ACCEPTANCE_REQUIRED",
	"UNAUTHORIZED", "FORBIDDEN", "ACCESS_DENIED", "NOT_FOUND",
}

var transientCodes = []string{"RATE_LIMITED", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"}

var keyCodes = []string{"IDEMPOTENCY_EXPIRED", "IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_IN_FLIGHT", "CONFLICT"}

var invalidCodes = []string{"VALIDATION_ERROR", "INVALID_REQUEST", "BAD_REQUEST"}

// unknownCodes have no meaning in the contract.
func unknownCodes() []string {
	codes := []string{"SOMETHING_NEW", "PRODUCT_UNAVAILABLE", "CREATIVE_REJECTED", "POLICY_VIOLATION", "SESSION_TERMINATED", "PROPOSAL_EXPIRED"}
	for i := range 50 {
		codes = append(codes, "NEW_CODE_"+string(rune('A'+i%26))+string(rune('A'+i/26)))
	}
	return codes
}

// TestResponseError_codes gives each code in a 200 and in a 400, with and
// without recovery, for one event and for twenty, and compares the verdict with
// the contract's table.
func TestResponseError_codes(t *testing.T) {
	t.Parallel()
	kindOf := func(class, recovery string, status int) clickid.SendErrorKind {
		switch {
		case class == "configuration":
			return clickid.SendErrorConfiguration
		case class == "transient", class == "key", recovery == "transient":
			return clickid.SendErrorTemporary
		case status == 400, class == "invalid", recovery == "correctable":
			return clickid.SendErrorRefused
		case recovery == "terminal":
			return clickid.SendErrorConfiguration
		}
		return clickid.SendErrorTemporary
	}
	classes := map[string][]string{
		"configuration": configurationCodes, "transient": transientCodes, "key": keyCodes, "invalid": invalidCodes, "unknown": unknownCodes(),
	}
	codes := 0
	for class, list := range classes {
		codes += len(list)
		for _, code := range list {
			for _, recovery := range []string{"", "transient", "correctable", "terminal"} {
				for _, status := range []int{200, 400} {
					for _, n := range []int{1, 20} {
						name := fmt.Sprintf("%s %s %d %d", code, recovery, status, n)
						for form, body := range map[string]string{
							"errors":     `{"errors":[{"code":%q,"recovery":%q}]}`,
							"adcp_error": `{"status":"failed","adcp_error":{"code":%q,"recovery":%q}}`,
							"error":      `{"data":null,"error":{"code":%q,"recovery":%q}}`,
						} {
							p := platformtest.Responding(platformtest.Reply(status, fmt.Sprintf(body, code, recovery)))
							c := newClient(t, p, logEvent)
							items := make([]clickid.QueuedEvent, n)
							for i, e := range numbered(n) {
								items[i].Event = e
							}
							report, err := c.Deliver(context.Background(), items)
							require.Error(t, err, name+form)
							for _, result := range report.Results {
								require.Equal(t, clickid.VerdictFailed, result.Verdict, name+form)
								var refusal clickid.SendError
								require.ErrorAs(t, result.Err, &refusal, name+form)
								require.Equal(t, kindOf(class, recovery, status), refusal.Kind(), name+form)
							}
						}
					}
				}
			}
		}
	}
	require.GreaterOrEqual(t, codes, 100)
}

// TestResponseError_paths checks that an error with the path of an event or of
// its field concerns only that event.
func TestResponseError_paths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		`"field":"/events/1/event_type"`, `"field":"events[1].event_type"`, `"field":["events",1,"event_type"]`,
		`"issues":[{"path":["events",1,"event_type"]}]`, `"issues":[{"path":"events[1].event_type"}]`, `"issues":[{"pointer":"/events/1"}]`,
		`"details":{"issues":[{"path":["events",1,"event_type"],"message":"x"}]}`, `"details":{"issues":[{"path":"/events/1/event_type"}]}`,
		`"details":[{"path":["events",1,"event_type"]}]`,
	} {
		for _, status := range []int{200, 400, 422} {
			p := platformtest.Responding(
				platformtest.Reply(status, `{"data":null,"error":{"code":"VALIDATION_ERROR","message":"x",`+path+`}}`),
				platformtest.Reply(400, `{"data":null,"error":{"code":"VALIDATION_ERROR","field":"/events/0/event_type"}}`),
				platformtest.OK())
			report, err := newClient(t, p, logEvent).Send(context.Background(), numbered(4)...)
			require.ErrorIs(t, err, clickid.ErrInvalidEvent, path)
			requireRejected(t, report, "1")
		}
	}
	for _, path := range []string{`"field":"event_source_id"`, `"field":"/account/account_id"`, `"field":["idempotency_key"]`, `"details":{"issues":[{"path":["account"]}]}`} {
		p := platformtest.Responding(platformtest.Reply(400, `{"error":{"code":"VALIDATION_ERROR",`+path+`}}`))
		_, err := newClient(t, p, logEvent).Send(context.Background(), numbered(2)...)
		var refusal *capi.ResponseError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, clickid.SendErrorConfiguration, refusal.Kind(), path)
		require.Len(t, p.Bodies, 1)
	}
}

// TestResponseError_ErrorCode checks that code that knows only the interface
// finds the platform's code.
func TestResponseError_ErrorCode(t *testing.T) {
	t.Parallel()
	p := platformtest.Responding(platformtest.Reply(400, `{"error":{"code":"VALIDATION_ERROR","message":"x"}}`))
	_, err := newClient(t, p, logEvent).Send(context.Background(), numbered(1)...)
	var coded interface{ ErrorCode() string }
	require.ErrorAs(t, err, &coded)
	require.Equal(t, "VALIDATION_ERROR", coded.ErrorCode())
}
