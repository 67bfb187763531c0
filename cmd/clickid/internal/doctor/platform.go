package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/interchange"
)

// Platform is the account at the ad platform.
type Platform struct {
	// API is the management API. Without an AdvertiserID only the key is
	// checked.
	API interchange.Config
	// EventSourceID is that of the site's events. Optional.
	EventSourceID string
	// TestCode is the code of a test event. Defaults to that of the registered
	// event source.
	TestCode string
	// NewSender returns a sender of test events with a code. It is nil if the
	// dialect has no test events.
	NewSender func(code string, client *http.Client) (clickid.Sender, error)
}

// maxSkew is how far clocks may differ.
const maxSkew = time.Minute

// examinePlatform checks key, event source and clock, and sends a test event.
func (e *exam) examinePlatform(ctx context.Context) {
	p := e.Platform
	if p == nil {
		e.skip("CLICKID_API_KEY is not set", append(accountChecks(), platformKey)...)
		return
	}
	e.skip("the platform does not accept the API key", accountChecks()...)
	own := *p
	p, e.Platform = &own, &own
	clock := &clock{next: http.DefaultTransport}
	if p.API.HTTPClient != nil && p.API.HTTPClient.Transport != nil {
		clock.next = p.API.HTTPClient.Transport
	}
	p.API.HTTPClient, p.API.Timeout = &http.Client{Transport: clock}, e.Timeout
	api, err := interchange.New(p.API)
	if err != nil {
		e.note(platformKey, true, err.Error())
		return
	}
	account, err := api.Account(ctx)
	if err != nil {
		e.note(platformKey, true, err.Error())
	} else {
		e.pass(platformKey, account.Company)
		e.sendTestEvent(ctx, e.findSource(ctx, api))
	}
	if skew, ok := clock.skew(); ok {
		direction := "ahead of"
		if skew < 0 {
			direction = "behind"
		}
		e.note(platformClock, skew.Abs() > maxSkew, fmt.Sprintf("%v %s the platform", skew.Abs().Round(time.Second), direction))
	} else {
		e.skip("the platform's responses have no Date", platformClock)
	}
}

// accountChecks are the checks that need a valid key.
func accountChecks() []Name {
	return []Name{platformSource, platformHealth, platformUnseen, platformError, platformTest, platformWarnings, platformClock}
}

const reasonNoSource = "the event source is not found"

// findSource notes the state of the event source and returns it.
func (e *exam) findSource(ctx context.Context, api *interchange.Client) (source interchange.RegisteredSource) {
	p := e.Platform
	if p.API.AdvertiserID == "" || p.EventSourceID == "" {
		e.skip("-advertiser and -event-source name the event source", platformSource, platformHealth, platformUnseen, platformError)
		return source
	}
	list, err := api.EventSources(ctx)
	if err != nil {
		e.note(platformSource, true, err.Error())
		e.skip(reasonNoSource, platformHealth, platformUnseen, platformError)
		return source
	}
	i := slices.IndexFunc(list, func(s interchange.RegisteredSource) bool { return s.ID == p.EventSourceID })
	e.note(platformSource, i < 0, p.EventSourceID)
	if i < 0 {
		e.skip(reasonNoSource, platformHealth, platformUnseen, platformError)
		return source
	}
	source = list[i]
	health := source.Health
	e.note(platformHealth, health.Status == interchange.HealthNeedsAttention, string(health.Status))
	if !health.LastEventReceivedAt.IsZero() {
		e.pass(platformHealth, "last event received "+health.LastEventReceivedAt.UTC().Format(time.RFC3339))
	}
	e.note(platformUnseen, health.Status == interchange.HealthNotSeen, "")
	problem := health.LastError
	if problem != "" && !health.LastErrorAt.IsZero() {
		problem = health.LastErrorAt.UTC().Format(time.RFC3339) + ": " + problem
	}
	e.note(platformError, problem != "", problem)
	return source
}

// sendTestEvent sends an event that the platform validates and does not count.
func (e *exam) sendTestEvent(ctx context.Context, source interchange.RegisteredSource) {
	p := e.Platform
	code := p.TestCode
	if code == "" {
		code = source.TestEventCode
	}
	switch {
	case p.NewSender == nil:
		e.skip("the dialect has no test events", platformTest, platformWarnings)
		return
	case code == "" || p.EventSourceID == "":
		e.skip("-test-code and -event-source are required for a test event", platformTest, platformWarnings)
		return
	}
	report, err := e.deliver(ctx, code, testEvent(e.URL, e.Params[0], source.EventTypes))
	if err != nil {
		e.note(platformTest, true, err.Error())
		e.skip("the test event is not accepted", platformWarnings)
		return
	}
	result := report.Results[0]
	e.note(platformTest, result.Verdict != clickid.VerdictAccepted, result.Verdict.String()+": "+result.Reason)
	e.note(platformWarnings, false, "")
	for _, warning := range append(result.Warnings, report.Warnings...) {
		e.note(platformWarnings, true, warning)
	}
}

// deliver sends an event and returns the report of its result.
func (e *exam) deliver(ctx context.Context, code string, event clickid.Event) (report clickid.Report, err error) {
	sender, err := e.Platform.NewSender(code, e.Platform.API.HTTPClient)
	if err != nil {
		return report, err
	}
	if report, err = sender.Send(ctx, event); err == nil && len(report.Results) != 1 {
		err = errors.New("the client returned no result")
	}
	return report, err
}

// testEvent returns an event of a type that the event source sends.
func testEvent(landing *url.URL, param string, types []string) clickid.Event {
	page := url.URL{Scheme: landing.Scheme, Host: landing.Host, Path: landing.Path}
	event := clickid.Event{
		Type: clickid.PageView, ID: "clickid-doctor-" + newClick(), Time: time.Now(), Source: clickid.SourceWebsite,
		PageURL: page.String(),
		Click:   clickid.Click{ID: newClick(), Param: param},
	}
	if len(types) > 0 && !slices.Contains(types, string(event.Type)) {
		event.Type = clickid.EventType(types[0])
	}
	return event
}

// clock is a transport that compares the clock with the Date of responses.
type clock struct {
	next http.RoundTripper

	mu       sync.Mutex
	measured bool
	ahead    time.Duration // of this machine
}

func (c *clock) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := time.Now()
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		received := time.Now()
		c.mu.Lock()
		defer c.mu.Unlock()
		// The response was written at some moment in between.
		switch {
		case received.Before(date):
			c.ahead = received.Sub(date)
		case sent.After(date.Add(time.Second)):
			c.ahead = sent.Sub(date)
		default:
			c.ahead = 0
		}
		c.measured = true
	}
	return resp, nil
}

func (c *clock) skew() (ahead time.Duration, measured bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead, c.measured
}
