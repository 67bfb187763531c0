package clickidtest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// TB is what [NewServer] needs of a test; *testing.T, *testing.B and
// *testing.F have it.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Server is a [Receiver] that listens on loopback.
type Server struct {
	*Receiver
	// URL is scheme, host and port, for a client's base URL.
	URL string

	address string
	mu      sync.Mutex
	up      *listening // nil while it is down
}

// listening is the time between Up and Down.
type listening struct {
	server *http.Server
	// busy is read-locked by every request that is under way.
	busy sync.RWMutex
	over bool
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

// Start starts a receiver on an address such as "127.0.0.1:8080"; port 0 takes
// a free one. Close ends it.
func Start(address string, cfg Config) (*Server, error) {
	s := &Server{Receiver: New(cfg), address: address}
	if err := s.Up(); err != nil {
		return nil, err
	}
	s.URL = "http://" + s.address
	return s, nil
}

// Up listens again, on the same port, after Down. While it is up already it
// does nothing.
func (s *Server) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("clickidtest: the receiver cannot listen: %w", err)
	}
	s.address = listener.Addr().String()
	up := &listening{}
	up.server = &http.Server{
		Handler:           up.handler(s.Receiver),
		ReadHeaderTimeout: 10 * time.Second,
	}
	s.up = up
	go func() {
		if err := up.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("clickidtest: the receiver stopped: %v", err))
		}
	}()
	return nil
}

func (l *listening) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.busy.RLock()
		defer l.busy.RUnlock()
		if l.over {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// Down stops listening, so that connections are refused, cuts the open ones
// and returns when no request is under way any more. What was recorded stays.
// While it is down already it does nothing. A hook must not call it.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up == nil {
		return
	}
	// Its error is that of closing sockets that are of no use any more.
	_ = s.up.server.Close()
	s.up.busy.Lock()
	s.up.over = true
	s.up.busy.Unlock()
	s.up = nil
}

// Close ends the server for good, as Down does.
func (s *Server) Close() { s.Down() }
