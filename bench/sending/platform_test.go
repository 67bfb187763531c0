// Package sending compares the client with the server-side clients of other
// event platforms: the cost of sending, and how much arrives after an outage.
package sending_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fault is a failure of a platform. It lasts two seconds, and the poison event always.
type fault string

const (
	healthy     fault = ""
	unavailable fault = "503"
	refused     fault = "refused connections"
	throttled   fault = "429 without Retry-After"
	poisoned    fault = "400 for one event, always"
	maintenance fault = "200 with an HTML page"
)

const outage = 2 * time.Second

// poison is the order that a poisoned platform refuses.
const poison = 250

// platform stands in for all platforms. It counts the distinct orders in the
// requests that it accepts.
type platform struct {
	url   string
	fault fault
	until time.Time     // end of the fault
	begin func()        // begins the two seconds of the fault; before, it lasts
	delay time.Duration // of every response

	mu        sync.Mutex
	delivered []bool // by order
	count     int
	requests  int
}

// newPlatform starts a platform for a number of orders.
func newPlatform(tb testing.TB, orders int, f fault) *platform {
	tb.Helper()
	p := &platform{fault: f, until: time.Now().Add(time.Hour), delivered: make([]bool, orders), begin: func() {}}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = silent
	p.url = "http://" + server.Listener.Addr().String()
	if f != refused {
		server.Start()
		tb.Cleanup(func() { closeNow(server) })
		p.begin = func() { p.until = time.Now().Add(outage) }
		return p
	}
	address := server.Listener.Addr().String()
	_ = server.Listener.Close()
	timer := time.AfterFunc(time.Hour, func() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			tb.Error(err)
			return
		}
		server.Listener = listener
		server.Start()
	})
	p.begin = func() { timer.Reset(outage) }
	tb.Cleanup(func() {
		if !timer.Stop() {
			closeNow(server)
		}
	})
	return p
}

// closeNow closes a server without waiting for its clients, some of which never
// stop.
func closeNow(server *httptest.Server) { _ = server.Config.Close() }

// reset forgets what was delivered.
func (p *platform) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.delivered)
	p.count, p.requests = 0, 0
}

// result returns the number of delivered orders and of requests.
func (p *platform) result() (orders, requests int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count, p.requests
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	orders, err := ordersOf(r)
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.requests++
	p.mu.Unlock()
	time.Sleep(p.delay)
	faulty := time.Now().Before(p.until)
	switch {
	case p.fault == unavailable && faulty:
		w.WriteHeader(http.StatusServiceUnavailable)
	case p.fault == throttled && faulty:
		w.WriteHeader(http.StatusTooManyRequests)
	case p.fault == maintenance && faulty:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body>We are back soon.</body></html>")
	case p.fault == poisoned && position(orders, poison) >= 0:
		p.refuse(w, r.URL.Path, orders, position(orders, poison))
	default:
		p.accept(orders)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, acceptance(r.URL.Path, len(orders)))
	}
}

func position(orders []int, order int) int {
	for i, o := range orders {
		if o == order {
			return i
		}
	}
	return -1
}

// accept records the orders.
func (p *platform) accept(orders []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, order := range orders {
		if !p.delivered[order] {
			p.delivered[order] = true
			p.count++
		}
	}
}

// acceptance returns the response to an accepted request as the platform of the
// endpoint documents it.
func acceptance(path string, events int) string {
	switch path {
	case "/agentic/v1/capi":
		return fmt.Sprintf(`{"events_received":%d,"events_processed":%[1]d}`, events)
	case "/2/httpapi":
		return fmt.Sprintf(`{"code":200,"events_ingested":%d,"payload_size_bytes":1,"server_upload_time":1}`, events)
	case "/import":
		return fmt.Sprintf(`{"code":200,"num_records_imported":%d,"status":"OK"}`, events)
	case "/batch/":
		return `{"status":"Ok"}`
	}
	return `{"success":true}`
}

// refuse responds to a request with an invalid event. Platforms that document
// how a response names an event do so; Mixpanel also accepts the others.
func (p *platform) refuse(w http.ResponseWriter, path string, orders []int, at int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	switch path {
	case "/2/httpapi":
		_, _ = fmt.Fprintf(w, `{"code":400,"error":"invalid event","events_with_invalid_fields":{"price":[%d]}}`, at)
	case "/import":
		p.accept(append(orders[:at:at], orders[at+1:]...))
		_, _ = fmt.Fprintf(w, `{"code":400,"error":"some data points failed validation","num_records_imported":%d,"status":"Bad Request",`+
			`"failed_records":[{"index":%d,"insert_id":"x","field":"properties","message":"invalid"}]}`, len(orders)-1, at)
	default:
		_, _ = io.WriteString(w, `{"error":"invalid event"}`)
	}
}

const (
	orderPrefix = "order-"
	orderDigits = 8
)

// orderID returns the ID of an order.
func orderID(n int) string { return fmt.Sprintf("%s%0*d", orderPrefix, orderDigits, n) }

// ordersOf returns the orders in a request, whatever its format is. Repetitions
// within an event count once.
func ordersOf(r *http.Request) (orders []int, err error) {
	var reader io.Reader = r.Body
	if strings.Contains(r.Header.Get("Content-Encoding"), "gzip") {
		if reader, err = gzip.NewReader(r.Body); err != nil {
			return nil, err
		}
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		return nil, err
	}
	for {
		at := bytes.Index(body, []byte(orderPrefix))
		if at < 0 {
			return orders, nil
		}
		body = body[at+len(orderPrefix):]
		order, err := strconv.Atoi(string(body[:orderDigits]))
		if err != nil {
			return nil, err
		}
		if len(orders) == 0 || orders[len(orders)-1] != order {
			orders = append(orders, order)
		}
	}
}
