// Package acmetest is a stand-in for the imaginary ad platform Acme Ads.
package acmetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	"github.com/clickid/clickid/outbox/outboxtest"
)

// The credentials that the stand-in accepts.
const (
	APIKey  = "acme-key"
	Account = "shop"
)

// Conversion is a conversion that was accepted.
type Conversion struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Click    string `json:"click"`
	Value    string `json:"value"`
	Currency string `json:"currency"`
}

// Server is the stand-in. Close ends it.
type Server struct {
	*httptest.Server

	mu        sync.Mutex
	behaviour outboxtest.Behaviour
	changed   chan struct{} // closed when the behaviour changes
	requests  int
	accepted  []Conversion
}

// NewServer starts a stand-in on loopback.
func NewServer() *Server {
	s := &Server{changed: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(s.respond))
	return s
}

// Behave changes how the stand-in responds. The IDs are those of events or of
// clicks.
func (s *Server) Behave(b outboxtest.Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour = b
	close(s.changed)
	s.changed = make(chan struct{})
}

// Requests returns the number of requests.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Accepted returns the accepted conversions.
func (s *Server) Accepted() []Conversion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accepted)
}

func (s *Server) respond(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Conversions []Conversion `json:"conversions"`
	}
	malformed := json.NewDecoder(r.Body).Decode(&request) != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	for s.behaviour.Kind == outboxtest.BehaviourHangs {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		s.mu.Lock()
		if r.Context().Err() != nil {
			return
		}
	}
	known := r.Method == http.MethodPost && r.URL.Path == "/v1/accounts/"+Account+"/conversions"
	switch {
	case s.behaviour.Kind == outboxtest.BehaviourUnavailable:
		w.WriteHeader(http.StatusServiceUnavailable)
	case s.behaviour.Kind == outboxtest.BehaviourRefusesConfiguration, r.Header.Get("Authorization") != "Bearer "+APIKey:
		w.WriteHeader(http.StatusUnauthorized)
	case !known:
		w.WriteHeader(http.StatusNotFound)
	case malformed:
		w.WriteHeader(http.StatusBadRequest)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"results": s.accept(request.Conversions)})
	}
}

// accept returns the verdicts. A conversion is counted once.
func (s *Server) accept(conversions []Conversion) []map[string]string {
	verdicts := make([]map[string]string, len(conversions))
	for i, c := range conversions {
		if slices.Contains(s.behaviour.IDs, c.ID) || slices.Contains(s.behaviour.IDs, c.Click) {
			verdicts[i] = map[string]string{"status": "refused", "code": "click_unknown"}
			continue
		}
		verdicts[i] = map[string]string{"status": "accepted"}
		if !slices.ContainsFunc(s.accepted, func(a Conversion) bool { return a.ID == c.ID }) {
			s.accepted = append(s.accepted, c)
		}
	}
	return verdicts
}
