package receiver

import (
	"cmp"
	"net/http"

	"github.com/clickid/clickid/clickidtest"
)

// advertiserOf returns the advertiser of a request about event sources. Defaults
// to all of them.
func advertiserOf(req *http.Request) string {
	return cmp.Or(req.URL.Query().Get("advertiser"), clickidtest.Any)
}

func (r *Receiver) listSources(req *http.Request) (any, error) {
	sources := r.Platform.EventSources(advertiserOf(req))
	if sources == nil {
		sources = []clickidtest.EventSource{}
	}
	return map[string]any{"event_sources": sources}, nil
}

func (r *Receiver) registerSource(req *http.Request) (any, error) {
	r.Platform.Register(advertiserOf(req), req.PathValue("id"))
	return r.listSources(req)
}

// archiveSource makes the platform refuse the events of the source.
func (r *Receiver) archiveSource(req *http.Request) (any, error) {
	r.Platform.Archive(advertiserOf(req), req.PathValue("id"))
	return r.listSources(req)
}
