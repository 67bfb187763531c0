package receiver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/stretchr/testify/require"
)

const (
	ecapiPath = "/agentic/v1/events"
	capiPath  = "/agentic/v1/capi"
	key       = "scope3_secret_of_the_shop"
)

// server is a receiver on loopback.
type server struct {
	t   *testing.T
	r   *receiver.Receiver
	url string
	log *safeBuffer
}

// safeBuffer is a buffer for concurrent use.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func start(t *testing.T, edits ...func(*receiver.Options)) *server {
	t.Helper()
	s := &server{t: t, log: &safeBuffer{}}
	anything := []string{clickidtest.Any}
	options := receiver.Options{
		Platform: clickidtest.Config{Accounts: []clickidtest.Account{{
			APIKey: clickidtest.Any, DataSets: anything, EventSources: anything, Advertisers: anything,
		}}},
		Log: slog.New(slog.NewTextHandler(s.log, nil)),
	}
	for _, edit := range edits {
		edit(&options)
	}
	var err error
	s.r, err = receiver.New(t.Context(), options)
	require.NoError(t, err)
	running := httptest.NewServer(s.r.Handler())
	s.url = running.URL
	t.Cleanup(func() {
		s.r.Stop()
		running.Close()
		require.NoError(t, s.r.Close())
	})
	return s
}

// request sends a request and returns status and body of the response.
func (s *server) request(method, path, body string, edits ...func(*http.Request)) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	for _, edit := range edits {
		edit(req)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	received, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, string(received)
}

// send sends events as a shop does.
func (s *server) send(path, body string) (int, string) {
	s.t.Helper()
	return s.request(http.MethodPost, path, body, func(req *http.Request) {
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
	})
}

// get decodes the response of the API, which must have the status.
func get[T any](s *server, status int, path string) T {
	s.t.Helper()
	return call[T](s, status, http.MethodGet, path, "")
}

func call[T any](s *server, status int, method, path, body string) T {
	s.t.Helper()
	got, text := s.request(method, path, body)
	require.Equal(s.t, status, got, text)
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	require.NoError(s.t, dec.Decode(&v), text)
	return v
}

// list is a response with events.
type list struct {
	Events []receiver.Entry
	Total  int
	Count  int
	Want   int
	Error  string
	Counts receiver.Counts
}

func (l list) ids() []string {
	ids := []string{}
	for _, e := range l.Events {
		ids = append(ids, e.ID)
	}
	return ids
}

func purchase(id string) string {
	return fmt.Sprintf(`{"data_set_id":"ds_1","event_type":"purchase","timestamp":1732356930,"id":%q,"value":149.99,"currency":"USD","user_data":{"click_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}}`, id)
}

// logEvents is a log_event request with its own idempotency key.
func logEvents(key string, events ...string) string {
	return fmt.Sprintf(`{"event_source_id":"my-shop","idempotency_key":"%016s","events":[%s]}`, strings.Repeat("k", 16)+key, strings.Join(events, ","))
}

func lead(id string) string {
	return fmt.Sprintf(`{"event_id":%q,"event_type":"lead","event_time":"2026-01-31T12:00:00Z"}`, id)
}

func body(s string) io.Reader { return strings.NewReader(s) }

// text returns the body of a response.
func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	received, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(received)
}
