package capi

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrHanging means that the platform took requests and did not respond in time,
// so that this one was not sent: a checkout waits once and not for each attempt.
// An error that matches it matches [ErrNotSent], too.
var ErrHanging = errors.New("capi: the platform does not respond; one request at a time probes it")

const (
	hangThreshold = 3                // timeouts in a row before requests are kept back
	minHangProbe  = time.Second      // between the first two probes
	maxHangProbe  = 20 * time.Second // between two probes
)

// hangGuard keeps requests back while the platform takes them and does not
// respond. Other failures are fast, and left to the retries. The zero value lets
// requests pass.
type hangGuard struct {
	mu       sync.Mutex
	timeouts int // in a row
	interval time.Duration
	until    time.Time // no probe before
	probing  bool
}

// allow returns an error for a request that is kept back. Otherwise the caller
// calls end with how the request ended.
func (g *hangGuard) allow() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timeouts < hangThreshold {
		return nil
	}
	if g.probing || time.Now().Before(g.until) {
		return ErrHanging
	}
	g.probing = true
	return nil
}

// minHang is how long an attempt must have taken to tell that the platform
// hangs, where the caller's own deadline ended it.
const minHang = time.Second

func (g *hangGuard) end(err error, took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	te := (*TransportError)(nil)
	switch {
	case errors.As(err, &te) && te.hung && took >= minHang:
		if g.timeouts++; g.timeouts >= hangThreshold {
			g.interval = min(max(2*g.interval, minHangProbe), maxHangProbe)
			g.until = time.Now().Add(g.interval)
		}
	case te != nil && te.hung, errors.Is(err, context.Canceled):
		// It tells nothing.
	default:
		g.timeouts, g.interval = 0, 0
	}
}
