package platformtest

import (
	"io"
	"net/http"
	"strings"

	"github.com/clickid/clickid"
)

// Form is a form of response to a log_event request for one event, and what it
// means. docs/reliability.md has a row for each.
type Form struct {
	// Name describes the form, as in the documentation.
	Name string
	// Respond returns the response.
	Respond func() (*http.Response, error)
	// Interchange marks a form of the Interchange endpoint.
	Interchange bool
	// Accepted means that the event is accepted. Warned adds a warning to it.
	Accepted, Warned bool
	// Kind is the kind of the error of an event that is not accepted.
	Kind clickid.SendErrorKind
}

// Forms returns the forms of responses that the wire contract tells apart.
func Forms() []Form {
	const temporary, configuration, event, refused = clickid.SendErrorTemporary, clickid.SendErrorConfiguration, clickid.SendErrorEvent, clickid.SendErrorRefused
	ok := func(name, body string) Form { return Form{Name: name, Respond: Reply(200, body), Accepted: true} }
	warned := func(name, body string) Form {
		return Form{Name: name, Respond: Reply(200, body), Accepted: true, Warned: true}
	}
	not := func(name string, respond func() (*http.Response, error), kind clickid.SendErrorKind) Form {
		return Form{Name: name, Respond: respond, Kind: kind}
	}
	interchange := func(f Form) Form { f.Interchange = true; return f }
	return []Form{
		ok("`events_received` of all", `{"events_received":1,"events_processed":1}`),
		ok("the same, wrapped in `data`", `{"data":{"events_received":1,"events_processed":1}}`),
		ok("`status: completed`", `{"status":"completed","events_received":1,"adcp_error":null}`),
		ok("a partial failure that reports a duplicate", `{"events_received":1,"partial_failures":[{"event_id":"1","code":"DUPLICATE_EVENT"}]}`),
		warned("`events_processed` below `events_received`", `{"events_received":1,"events_processed":0}`),
		warned("an empty 200 of the tracking endpoint", ``),
		warned("`{\"status\":\"ok\"}` of the tracking endpoint", `{"status":"ok"}`),
		warned("`{\"success\":true}` of the tracking endpoint", `{"success":true}`),
		interchange(not("an empty 200 of Interchange", Reply(200, ``), configuration)),
		interchange(not("a 200 of Interchange without `events_received`", Reply(200, `{"data":{"status":"ok"}}`), configuration)),

		not("a 200 with HTML", Reply(200, `<!doctype html><title>Maintenance</title>`, "Content-Type: text/html"), configuration),
		not("a 200 with JSON that is cut short", Reply(200, `{"events_received":1,`), configuration),
		not("a 200 above the size limit", Reply(200, `{"a":"`+strings.Repeat("x", 9<<20)+`"}`), configuration),
		not("a 200 with JSON that is not an object", Reply(200, `[{"events_received":1}]`), configuration),
		not("`events_received: 0`", Reply(200, `{"events_received":0,"events_processed":0}`), temporary),
		not("`adcp_error` with a code of the caller", Reply(200, `{"adcp_error":{"code":"ACCOUNT_SUSPENDED","message":"no"}}`), configuration),
		not("`adcp_error` with an unknown code", Reply(200, `{"adcp_error":{"code":"SOMETHING_NEW","message":"no"}}`), temporary),
		not("`errors[]` with an unknown code", Reply(200, `{"errors":[{"code":"SOMETHING_NEW"}]}`), temporary),
		not("`errors[]` that names a field of the event", Reply(200, `{"errors":[{"code":"VALIDATION_ERROR","field":"/events/0/event_type"}]}`), event),
		not("`status: failed`", Reply(200, `{"status":"failed"}`), temporary),
		not("`status: auth-required`", Reply(200, `{"status":"auth-required"}`), configuration),
		not("`status: submitted`", Reply(200, `{"status":"submitted"}`), temporary),
		not("`success: false`", Reply(200, `{"success":false}`), temporary),
		not("a partial failure", Reply(200, `{"events_received":1,"partial_failures":[{"event_id":"1","code":"INVALID_EVENT"}]}`), event),
		not("a partial failure that names another event", Reply(200, `{"events_received":1,"partial_failures":[{"event_id":"other","code":"INVALID_EVENT"}]}`), event),
		not("a transient partial failure", Reply(200, `{"events_received":1,"partial_failures":[{"event_id":"1","code":"BUSY","recovery":"transient"}]}`), temporary),

		not("400 that names the event", Reply(400, `{"errors":[{"code":"VALIDATION_ERROR","field":"/events/0/event_id"}]}`), event),
		not("400 that names a field of the event", Reply(400, `{"error":{"code":"VALIDATION_ERROR","details":{"issues":[{"path":["events",0,"event_time"]}]}}}`), event),
		not("400 that names the event source", Reply(400, `{"errors":[{"code":"VALIDATION_ERROR","field":"/event_source_id"}]}`), configuration),
		not("400 `REFERENCE_NOT_FOUND`", Reply(400, `{"errors":[{"code":"REFERENCE_NOT_FOUND"}]}`), configuration),
		not("400 that names nothing", Reply(400, `{"error":{"code":"BAD_REQUEST"}}`), refused),
		not("400 with HTML", Reply(400, `<html>`), refused),
		not("422 with an empty body", Reply(422, ``), refused),
		not("401, 403, 404, 405, 410, 415", Reply(401, ``), configuration),
		not("a redirect", Reply(302, ``), configuration),
		not("409 `CONFLICT`", Reply(409, `{"error":{"code":"CONFLICT"}}`), temporary),
		not("409 `IDEMPOTENCY_EXPIRED`", Reply(409, `{"errors":[{"code":"IDEMPOTENCY_EXPIRED"}]}`), temporary),
		not("413", Reply(413, ``), event),
		not("408, 425, 500", Reply(500, `{"error":{"code":"INTERNAL_ERROR"}}`), temporary),
		not("429", Reply(429, `{"error":{"code":"RATE_LIMITED"}}`), temporary),
		not("502, 503, 504, also with HTML", Reply(503, `<html>`), temporary),
		not("no response", Broken(io.ErrUnexpectedEOF), temporary),
	}
}
