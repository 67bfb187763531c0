package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/oklog/ulid/v2"
)

// platform is the ad platform. It redirects clicks to the shop with a new click
// ID, and its receiver takes the conversions and shows them.
type platform struct {
	*receiver.Receiver
	landing string   // the shop's landing page
	refused chan int // the status of a refused request

	mu       sync.Mutex
	accepted map[string]clickidtest.Exchange // by event ID
	changed  chan struct{}                   // closed at the next one
}

func newPlatform(landing string) *platform {
	return &platform{
		landing: landing, refused: make(chan int, 1),
		accepted: make(map[string]clickidtest.Exchange), changed: make(chan struct{}),
	}
}

func (p *platform) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", p.Handler())
	mux.HandleFunc("GET /click", p.click)
	return mux
}

// click redirects the visitor to the shop with a new click ID.
func (p *platform) click(w http.ResponseWriter, r *http.Request) {
	query := url.Values{"clkid": {ulid.Make().String()}, "utm_source": {"scope3"}}
	http.Redirect(w, r, p.landing+"?"+query.Encode(), http.StatusFound)
}

// watch records accepted events and passes on the status of a refused request.
func (p *platform) watch(x clickidtest.Exchange) {
	p.mu.Lock()
	for _, e := range x.Events {
		if e.Outcome == clickidtest.OutcomeAccepted {
			p.accepted[e.ID] = x
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	if x.Response.Status < 300 {
		return // accepted, or the connection was closed
	}
	select {
	case p.refused <- x.Response.Status:
	default: // an earlier status is still unread
	}
}

// acceptance waits for the request in which an event is accepted, and returns it
// with its response.
func (p *platform) acceptance(ctx context.Context, id string) (clickidtest.Exchange, error) {
	for {
		p.mu.Lock()
		x, ok := p.accepted[id]
		changed := p.changed
		p.mu.Unlock()
		if ok {
			return x, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return x, fmt.Errorf("the receiver has not recorded %s: %w", id, context.Cause(ctx))
		}
	}
}
