// Package acme sends conversions to Acme Ads, an imaginary ad platform. Copy it
// for a platform of your own.
//
// A [Client] is an [outbox.Destination]: it checks and sends events. An outbox
// with it stores the events in the order's transaction, retries them, keeps dead
// letters and erases. The test runs outboxtest.RunDestination.
package acme

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// Param is the URL parameter of Acme's click IDs.
const Param = "acmeclid"

// Config configures a [Client]. APIKey and Account are required.
type Config struct {
	APIKey  string
	Account string
	// BaseURL is the address of the API. Defaults to https://api.acme.example.
	BaseURL string
	// Resolver finds the clicks of tokens. Without it, events that only have a
	// token are refused. It is the tracker of Acme's clicks.
	Resolver clickid.Resolver
}

// Client sends conversions to Acme.
type Client struct {
	cfg      Config
	endpoint string
	http     *http.Client
}

var _ outbox.Destination = (*Client)(nil)

// New returns a client.
func New(cfg Config) (*Client, error) {
	if cfg.APIKey == "" || cfg.Account == "" {
		return nil, errors.New("acme: APIKey and Account are required")
	}
	endpoint, err := url.JoinPath(cmp.Or(cfg.BaseURL, "https://api.acme.example"), "v1/accounts", cfg.Account, "conversions")
	if err != nil {
		return nil, errors.New("acme: BaseURL must be a URL")
	}
	return &Client{cfg: cfg, endpoint: endpoint, http: &http.Client{Timeout: 30 * time.Second}}, nil
}

// Name returns the platform and the account. Events of another account are
// other events.
func (c *Client) Name() string { return "acme " + c.cfg.Account }

// Resolver lets the outbox find the clicks of tokens.
func (c *Client) Resolver() clickid.Resolver { return c.cfg.Resolver }

// MaxItems returns the number of conversions that Acme accepts in a request.
func (c *Client) MaxItems() int { return 100 }

// conversion is a conversion in Acme's form.
type conversion struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Time     time.Time `json:"time"`
	Click    string    `json:"click"`
	Value    string    `json:"value,omitempty"`
	Currency string    `json:"currency,omitempty"`
}

// names are the conversions that Acme knows.
var names = map[clickid.EventType]string{clickid.Purchase: "sale", clickid.Lead: "lead"}

// Check returns the result of Deliver without sending.
func (c *Client) Check(e clickid.Event) clickid.Result {
	_, result := c.encode(e)
	return result
}

// encode returns the conversion of an event that is ready. The result has the
// reason why another one is not sent.
func (c *Client) encode(e clickid.Event) (conversion, clickid.Result) {
	result := clickid.Result{Type: e.Type, ID: e.ID, Destination: c.Name(), Verdict: clickid.VerdictReady}
	reject := func(reason string) (conversion, clickid.Result) {
		result.Verdict, result.Reason = clickid.VerdictRejected, reason
		result.Err = fmt.Errorf("acme: %w: %s", clickid.ErrInvalidEvent, reason)
		return conversion{}, result
	}
	skip := func(verdict clickid.Verdict, reason string) (conversion, clickid.Result) {
		result.Verdict, result.Reason = verdict, reason
		return conversion{}, result
	}
	if e.Consent == clickid.ConsentDenied {
		return skip(clickid.VerdictSkippedConsent, "the user denied consent")
	}
	e, warnings, err := e.Clean()
	result.Warnings = warnings
	var invalid *clickid.EventError
	switch name := names[e.Type]; {
	case errors.As(err, &invalid):
		return reject(invalid.Reason())
	case name == "":
		return reject("Acme has no conversion of this type")
	case e.Click.IsZero() && e.ClickToken == "":
		return skip(clickid.VerdictSkippedOrganic, "the event has no click")
	case e.Click.IsZero() && c.cfg.Resolver == nil:
		return reject("there is only a token; set Config.Resolver")
	default:
		return conversion{e.ID, name, e.Time, e.Click.ID, e.Value.Number(), e.Value.Currency()}, result
	}
}

// Deliver sends the events that are ready in one request.
func (c *Client) Deliver(ctx context.Context, items []outbox.Item) (clickid.Report, error) {
	report := clickid.Report{Results: make([]clickid.Result, len(items))}
	var sent []*clickid.Result // of the conversions
	var conversions []conversion
	for i, item := range items {
		encoded, result := c.encode(item.Event)
		report.Results[i] = result
		if result.Verdict == clickid.VerdictReady {
			conversions, sent = append(conversions, encoded), append(sent, &report.Results[i])
		}
	}
	if len(conversions) > 0 {
		c.settle(ctx, conversions, sent)
	}
	return report, report.Err()
}

// settle sends the conversions and sets their results.
func (c *Client) settle(ctx context.Context, conversions []conversion, results []*clickid.Result) {
	statuses, err := c.post(ctx, conversions)
	for i, result := range results {
		switch {
		case err != nil:
			result.Verdict, result.Err = clickid.VerdictFailed, err
		case statuses[i].Status == "accepted":
			result.Verdict, result.Responses = clickid.VerdictAccepted, 1
		default:
			refusal := &Error{kind: clickid.SendErrorEvent, status: http.StatusOK, code: code(statuses[i].Code)}
			result.Verdict, result.Reason, result.Err = clickid.VerdictRejected, "Acme refuses it: "+refusal.code, refusal
			result.Responses = 1
		}
	}
}

// status is Acme's verdict on a conversion.
type status struct {
	Status string `json:"status"`
	Code   string `json:"code"`
}

// post sends the conversions and returns Acme's verdict on each.
func (c *Client) post(ctx context.Context, conversions []conversion) ([]status, error) {
	body, err := json.Marshal(map[string]any{"conversions": conversions})
	if err != nil {
		return nil, errors.New("acme: the conversions cannot be encoded")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("acme: BaseURL must be a URL")
	}
	r.Header.Set("Authorization", "Bearer "+c.cfg.APIKey)
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	defer resp.Body.Close()
	if err := errorOf(resp); err != nil {
		return nil, err
	}
	var decoded struct {
		Results []status `json:"results"`
	}
	// A response that is not Acme's accepts nothing.
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&decoded); err != nil || len(decoded.Results) != len(conversions) {
		return nil, &Error{kind: clickid.SendErrorTemporary, status: resp.StatusCode, code: "unknown_response"}
	}
	return decoded.Results, nil
}

// errorOf returns the error of a response, or nil for 200.
func errorOf(resp *http.Response) error {
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	err := &Error{status: resp.StatusCode, retryAfter: time.Duration(max(0, seconds)) * time.Second}
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		err.kind = clickid.SendErrorConfiguration
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		err.kind = clickid.SendErrorRefused // Acme does not name the event
	default:
		err.kind = clickid.SendErrorTemporary
	}
	return err
}

// Error is a refusal by Acme. It contains no part of the response but the code,
// since platforms repeat what was sent.
type Error struct {
	kind       clickid.SendErrorKind
	status     int
	code       string
	retryAfter time.Duration
}

var _ clickid.SendError = (*Error)(nil)

// Error returns status and code.
func (e *Error) Error() string {
	return fmt.Sprintf("acme: the platform responds with status %d %s", e.status, e.code)
}

// Kind implements [clickid.SendError].
func (e *Error) Kind() clickid.SendErrorKind { return e.kind }

// RetryAfter implements [clickid.SendError].
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// Status implements [clickid.SendError].
func (e *Error) Status() int { return e.status }

// ErrorCode returns Acme's code. An outbox stores it with the attempt.
func (e *Error) ErrorCode() string { return e.code }

// code returns a code of Acme if it has the form of one.
func code(s string) string {
	for _, c := range s {
		if (c < 'a' || c > 'z') && c != '_' {
			return "unknown_code"
		}
	}
	return cmp.Or(s, "unknown_code")
}
