package clickidtest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// TB is the part of [testing.TB] that [NewServer] uses. *testing.T, *testing.B
// and *testing.F implement it.
type TB interface {
	// Helper, Cleanup and Fatalf are as in [testing.TB].
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Server is a [Receiver] that listens on a port. It is safe for concurrent use.
type Server struct {
	*Receiver
	// URL is the base URL for a client: scheme, host and port.
	URL string

	address string
	mu      sync.Mutex
	running *listening // nil while it is stopped
}

// listening is a server from its start until Stop.
type listening struct {
	server *http.Server
	// busy is read-locked by every request in progress.
	busy    sync.RWMutex
	stopped bool
}

// NewServer starts a receiver on a free port of 127.0.0.1 and closes it when
// the test ends. The edits change the default configuration.
func NewServer(tb TB, edits ...func(*Config)) *Server {
	tb.Helper()
	var cfg Config
	for _, edit := range edits {
		edit(&cfg)
	}
	s, err := Start("127.0.0.1:0", cfg)
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	tb.Cleanup(s.Close)
	return s
}

// Start starts a receiver on an address such as "127.0.0.1:8080". Port 0
// chooses a free port. It returns an error if it cannot listen there. The caller
// must call Close.
func Start(address string, cfg Config) (*Server, error) {
	s := &Server{Receiver: New(cfg), address: address}
	if err := s.Restart(); err != nil {
		return nil, err
	}
	s.URL = "http://" + s.address
	return s, nil
}

// Restart listens on the same port again after Stop, and returns an error if
// another program has taken it. It has no effect while the server is running.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("clickidtest: start receiver: %w", err)
	}
	s.address = listener.Addr().String()
	l := &listening{}
	l.server = &http.Server{
		Handler:           l.handler(s.Receiver),
		ReadHeaderTimeout: 10 * time.Second,
	}
	s.running = l
	go func() {
		if err := l.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("clickidtest: serve: %v", err))
		}
	}()
	return nil
}

func (l *listening) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.busy.RLock()
		defer l.busy.RUnlock()
		if l.stopped {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// Stop closes the listener and all connections, and waits for the requests in
// progress to end. Recorded events and requests are kept. Stop has no effect
// on a stopped server. A hook must not call it.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return
	}
	_ = s.running.server.Close() // the sockets are not used again
	s.running.busy.Lock()
	s.running.stopped = true
	s.running.busy.Unlock()
	s.running = nil
}

// Close stops the server.
func (s *Server) Close() { s.Stop() }
