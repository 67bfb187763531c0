package demo

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"

	"github.com/clickid/clickid/clickidtest"
	"github.com/oklog/ulid/v2"
)

// shownEvents is how many events the platform's page lists.
const shownEvents = 100

// platform is the ad platform. It redirects clicks to the shop with a new click
// ID, and its receiver takes the conversions.
type platform struct {
	pages    *pages
	receiver *clickidtest.Server
	landing  string   // the shop's landing page
	refused  chan int // the status of a refused request

	mu     sync.Mutex
	events []receivedEvent // latest first
	lift   func()          // ends the outage, or nil
}

// receivedEvent is an event that the receiver could read.
type receivedEvent struct{ clickidtest.Event }

// JSON returns the indented JSON of the event.
func (e receivedEvent) JSON() string {
	var indented bytes.Buffer
	if json.Indent(&indented, e.Raw, "", "  ") != nil {
		return string(e.Raw)
	}
	return indented.String()
}

func (p *platform) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", style)
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /click", p.click)
	mux.HandleFunc("POST /outage", p.switchOutage)
	return mux
}

// click redirects the visitor to the shop with a new click ID.
func (p *platform) click(w http.ResponseWriter, r *http.Request) {
	query := url.Values{"clkid": {ulid.Make().String()}, "utm_source": {"scope3"}}
	http.Redirect(w, r, p.landing+"?"+query.Encode(), http.StatusFound)
}

// remember records an event that the receiver could read.
func (p *platform) remember(e clickidtest.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append([]receivedEvent{{e}}, p.events...)
	p.events = p.events[:min(len(p.events), shownEvents)]
}

// watch passes on the status of a refused request.
func (p *platform) watch(r clickidtest.Request) {
	if r.Status < 300 {
		return // accepted, or the connection was closed
	}
	select {
	case p.refused <- r.Status:
	default: // an earlier status is still unread
	}
}

// find returns the event with the given ID, or nil. Duplicates do not count.
func (p *platform) find(id string) *receivedEvent {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.ID == id && e.Outcome != clickidtest.OutcomeDuplicate {
			return &e
		}
	}
	return nil
}

// platformPage is the content of the platform's page.
type platformPage struct {
	API         string
	Accepted    int
	Unavailable bool
	Events      []receivedEvent
	Requests    []clickidtest.Request // refused requests, latest first
}

func (platformPage) live() {}

func (p *platform) show(w http.ResponseWriter, _ *http.Request) {
	page := platformPage{API: p.receiver.URL, Accepted: p.receiver.Count()}
	for _, request := range p.receiver.Requests() {
		if request.Status != http.StatusOK {
			page.Requests = append([]clickidtest.Request{request}, page.Requests...)
		}
	}
	page.Requests = page.Requests[:min(len(page.Requests), 10)]
	p.mu.Lock()
	page.Events = append(page.Events, p.events...)
	page.Unavailable = p.lift != nil
	p.mu.Unlock()
	p.pages.show(w, http.StatusOK, "platform.html", "Received conversions", page)
}

// switchOutage begins or ends an outage, in which the receiver returns 503.
func (p *platform) switchOutage(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.lift != nil {
		p.lift()
		p.lift = nil
	} else {
		p.lift = p.receiver.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})
	}
	p.mu.Unlock()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
