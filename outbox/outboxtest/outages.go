package outboxtest

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
)

// requestTimeout is the client's timeout for requests to a hanging platform.
const requestTimeout = 500 * time.Millisecond

func testOutages(h *harness) {
	never := make(chan struct{})
	h.Cleanup(func() { close(never) })
	var failures atomic.Int32
	ob := h.openOutbox(h.config(func(cfg *capi.Config) {
		cfg.Timeout = requestTimeout
		cfg.Hook = func(_ context.Context, a capi.Attempt) {
			if a.Err != nil {
				failures.Add(1)
			}
		}
	}))
	var ids []string
	for _, outage := range []struct {
		name  string
		fault clickidtest.Fault
	}{
		{"returns 503", clickidtest.Fault{Status: http.StatusServiceUnavailable}},
		{"returns 500 with a page", clickidtest.Fault{Status: http.StatusInternalServerError, Body: "<html>"}},
		{"returns 429 without Retry-After", clickidtest.Fault{Status: http.StatusTooManyRequests}},
		{"returns 408", clickidtest.Fault{Status: http.StatusRequestTimeout}},
		{"returns 200 with a transient error", clickidtest.Fault{Status: http.StatusOK, Error: clickidtest.Error{Code: "SERVICE_UNAVAILABLE", Recovery: "transient"}}},
		{"cuts the connection", clickidtest.Fault{Cut: clickidtest.CutBeforeReading}},
		{"hangs", clickidtest.Fault{Hold: never}},
	} {
		lift := h.platform.Always(outage.fault)
		failures.Store(0)
		if len(ids) == 0 {
			h.send(ob, event(outage.name))
			h.start(ob)
		} else {
			h.send(ob, event(outage.name))
		}
		ids = append(ids, outage.name)
		h.eventually("a request fails", func() bool { return failures.Load() > 0 })
		h.eventually("it waits while the platform "+outage.name, func() bool { return h.stats(ob).Queued == 1 })
		lift()
		h.accepted(len(ids))
		h.empty(ob)
	}
	h.platform.Stop()
	failures.Store(0)
	h.send(ob, event("refuses connections"))
	h.eventually("a request fails", func() bool { return failures.Load() > 0 })
	if err := h.platform.Restart(); err != nil {
		h.Fatal(err)
	}
	ids = append(ids, "refuses connections")
	h.accepted(len(ids))
	h.acceptedInTheEnd(ob, ids...)
	h.noDeadLetters(ob)
	if !h.saw(outbox.KindPlatformUnavailable) || !h.saw(outbox.KindPlatformRecovered) {
		h.Error("the hook was not called when the platform became unavailable and available")
	}
}

func testRetryAfter(h *harness) {
	const asked = 2 * time.Second
	h.platform.Next(clickidtest.Fault{
		Status: http.StatusTooManyRequests,
		Header: http.Header{"Retry-After": {"2"}},
	})
	ob := h.started(h.config())
	h.send(ob, event("first"))
	first := h.requests(1)[0]
	h.eventually("the refusal is noticed", func() bool { return h.saw(outbox.KindPlatformUnavailable) })
	h.send(ob, events("later", 3)...)
	h.accepted(4)
	if wait := h.platform.Requests()[1].At.Sub(first.At); wait < asked {
		h.Errorf("the next request came after %v, want at least %v", wait, asked)
	}
	h.noDeadLetters(ob)
}

func testConfiguration(h *harness) {
	ob := h.started(h.config())
	sent := 0
	for _, refusal := range []struct {
		name  string
		fault clickidtest.Fault
	}{
		{"wrong key", clickidtest.Fault{Status: http.StatusUnauthorized}},
		{"no access", clickidtest.Fault{Status: http.StatusForbidden}},
		{"wrong path", clickidtest.Fault{Status: http.StatusNotFound}},
		{"wrong content type", clickidtest.Fault{Status: http.StatusUnsupportedMediaType}},
		{"redirect", clickidtest.Fault{Status: http.StatusFound, Header: http.Header{"Location": {"https://elsewhere.example/"}}}},
		{"unregistered event source", clickidtest.Fault{Status: http.StatusBadRequest, Error: clickidtest.Error{Code: "REFERENCE_NOT_FOUND", Field: "event_source_id"}}},
	} {
		lift := h.platform.Always(refusal.fault)
		h.forget()
		before := len(h.platform.Requests())
		h.send(ob, events(refusal.name, 3)...)
		sent += 3
		h.requests(before + 1)
		h.eventually("an alert is raised for: "+refusal.name, func() bool { return h.saw(outbox.KindConfigurationRefused) })
		h.noDeadLetters(ob)
		lift()
		h.accepted(sent)
	}
	h.empty(ob)
	h.noDeadLetters(ob)
}

// forget drops the observations.
func (h *harness) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observed = nil
}
