// Package site serves a web site on a port of its own.
package site

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Site is a web site on a port of its own.
type Site struct {
	// URL is its scheme, host and port.
	URL string

	listener net.Listener
	server   *http.Server
	failed   chan error // receives at most one error of Serve
}

// Listen reserves an address, so that other sites can link to it before it
// serves.
func Listen(ctx context.Context, addr string) (*Site, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen; choose another address with -addr: %w", err)
	}
	return &Site{URL: "http://" + reachable(listener.Addr()), listener: listener, failed: make(chan error, 1)}, nil
}

// reachable returns an address at which this machine reaches a listener.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// Serve starts to serve requests.
func (s *Site) Serve(handler http.Handler) {
	s.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	go func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
}

// Failed receives the error of a site that has stopped serving.
func (s *Site) Failed() <-chan error { return s.failed }

// Close stops listening and waits for the open requests.
func (s *Site) Close(ctx context.Context) error {
	if s.server == nil {
		return s.listener.Close()
	}
	if err := s.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("a site did not stop in time: %w", errors.Join(err, s.server.Close()))
	}
	select {
	case err := <-s.failed:
		return fmt.Errorf("a site stopped serving: %w", err)
	default:
		return nil
	}
}
