package capi

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrHanging means that the event was not sent because the platform does not
// respond to requests. A checkout then does not wait for the timeout of every
// attempt. An error that matches it also matches [ErrNotSent].
var ErrHanging = errors.New("capi: the platform does not respond; only probes are sent")

const (
	hangThreshold = 3                // timeouts in a row before requests are refused
	minHangProbe  = time.Second      // between the first two probes
	maxHangProbe  = 20 * time.Second // between two probes
)

// hangGuard refuses requests while the platform does not respond to them. Other
// failures are fast and left to the retries. The zero value allows requests.
type hangGuard struct {
	mu       sync.Mutex
	timeouts int // in a row
	interval time.Duration
	until    time.Time // time of the next probe
	probing  bool
}

// allow returns an error if the request must not be sent. Otherwise the caller
// calls end with the outcome of the request.
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

// minHang is the minimum duration of an attempt that counts as a timeout if the
// caller's deadline ended it.
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
		// Does not count.
	default:
		g.timeouts, g.interval = 0, 0
	}
}
