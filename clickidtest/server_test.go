package clickidtest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// limited returns a context that ends after 30 seconds, so that a failing test ends.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

const (
	eventsPath      = "/agentic/v1/events"
	capiPath        = "/agentic/v1/capi"
	interchangePath = "/api/v2/buyer/advertisers/adv_test/log-event"
)

// request returns a valid POST request.
func request(t *testing.T, base, path, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(limited(t), http.MethodPost, base+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+clickidtest.APIKey)
	req.Header.Set("Content-Type", "application/json")
	return req
}

// send returns status, header and body of the response.
func send(t *testing.T, req *http.Request) (int, http.Header, string) {
	t.Helper()
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(body)
}

func post(t *testing.T, srv *clickidtest.Server, path, body string) (int, string) {
	t.Helper()
	status, _, response := send(t, request(t, srv.URL, path, body))
	return status, response
}

func ecapiEvent(id string) string {
	return `{"data_set_id":"ds_test","event_type":"purchase","timestamp":1732356930,"id":"` + id + `"}`
}

func TestServer_restart(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	status, _ := post(t, srv, eventsPath, ecapiEvent("1"))
	require.Equal(t, 200, status)

	srv.Stop()
	srv.Stop()
	_, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	require.Error(t, err)

	require.NoError(t, srv.Restart())
	require.NoError(t, srv.Restart())
	status, _ = post(t, srv, eventsPath, ecapiEvent("1"))
	require.Equal(t, 200, status)
	require.Equal(t, 1, srv.Count(), "accepted events are kept")
}

func TestServer_stop(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	srv.Next(clickidtest.Fault{Hold: make(chan struct{})})
	var group sync.WaitGroup
	group.Add(1)
	req := request(t, srv.URL, eventsPath, ecapiEvent("1"))
	go func() {
		defer group.Done()
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			t.Error("the request got a response")
		}
	}()
	_, err := srv.WaitRequests(limited(t), 1)
	require.NoError(t, err)
	srv.Stop()
	group.Wait()
	require.Zero(t, srv.Count())
	require.Zero(t, srv.Requests()[0].Status)
}

func TestStart_addressInUse(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	_, err := clickidtest.Start(strings.TrimPrefix(srv.URL, "http://"), clickidtest.Config{})
	require.ErrorContains(t, err, "start receiver")
}
