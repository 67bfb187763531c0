package clickid_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

const testKey = "scope3_0123456789secret"

// platform is a transport that answers requests in the process.
type platform struct {
	answer func(n int, body []byte) (*http.Response, error)

	mu       sync.Mutex
	requests []*http.Request
	bodies   [][]byte
	times    []time.Time
}

// answering gives the answers in turn, and the last one from then on.
func answering(answers ...func() (*http.Response, error)) *platform {
	return &platform{answer: func(n int, _ []byte) (*http.Response, error) {
		return answers[min(n, len(answers)-1)]()
	}}
}

func (p *platform) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	n := len(p.requests)
	p.requests = append(p.requests, r)
	p.bodies = append(p.bodies, body)
	p.times = append(p.times, time.Now())
	p.mu.Unlock()
	resp, err := p.answer(n, body)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

func (p *platform) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests)
}

// reply is an answer with headers given as "Name: value".
func reply(status int, body string, headers ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		header := http.Header{}
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			header.Set(name, value)
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func broken(err error) func() (*http.Response, error) {
	return func() (*http.Response, error) { return nil, err }
}

func ok() func() (*http.Response, error) { return reply(200, `{}`) }

var (
	ecapi    = clickid.ECAPI{DataSetID: "ds_abc123xyz"}
	logEvent = clickid.LogEvent{EventSourceID: "shop"}
)

func newClient(t testing.TB, p *platform, d clickid.Dialect, edits ...func(*clickid.ClientConfig)) *clickid.Client {
	t.Helper()
	cfg := clickid.ClientConfig{APIKey: testKey, Dialect: d, HTTPClient: &http.Client{Transport: p}}
	for _, edit := range edits {
		edit(&cfg)
	}
	c, err := clickid.NewClient(cfg)
	require.NoError(t, err)
	return c
}

// eventTime is the time of every event in these tests.
var eventTime = time.Date(2024, time.November, 23, 10, 15, 30, 0, time.UTC)

var testClick = clickid.Click{
	ID: documentedID, Param: "clkid",
	At: eventTime.Add(-time.Hour), Expires: eventTime.Add(24 * time.Hour),
}

// purchase is a complete minimal event.
func purchase(id string) clickid.Event {
	return clickid.Event{Type: clickid.Purchase, ID: id, Time: eventTime, Click: testClick}
}

// eventIDs returns the IDs in a log_event request.
func eventIDs(t testing.TB, body []byte) []string {
	t.Helper()
	var request struct {
		Events []struct {
			ID string `json:"event_id"`
		} `json:"events"`
	}
	require.NoError(t, json.Unmarshal(body, &request))
	ids := make([]string, len(request.Events))
	for i, e := range request.Events {
		ids[i] = e.ID
	}
	return ids
}

func indented(t testing.TB, body []byte) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Indent(&b, body, "", "  "))
	return b.String()
}

func verdicts(r clickid.Report) []clickid.Verdict {
	v := make([]clickid.Verdict, len(r.Results))
	for i, result := range r.Results {
		v[i] = result.Verdict
	}
	return v
}
