package clickidtest

import (
	"math"
	"net"
	"net/http"
	"strconv"
	"time"
)

// window counts the requests of one client address in a fixed time.
type window struct {
	ends  time.Time
	count int
}

// limited is what the rate limit says of one request.
type limited struct {
	exceeded   bool
	limit      int // 0: none is configured
	remaining  int
	retryAfter float64 // seconds
}

// limit counts the request.
func (x *exchange) limit() limited {
	rule := x.cfg.RateLimit
	if rule.Requests <= 0 {
		return limited{}
	}
	address, _, err := net.SplitHostPort(x.http.RemoteAddr)
	if err != nil {
		address = x.http.RemoteAddr
	}
	now := x.cfg.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	w := x.windows[address]
	if w == nil || !now.Before(w.ends) {
		w = &window{ends: now.Add(rule.Per)}
		x.windows[address] = w
	}
	w.count++
	return limited{
		exceeded:   w.count > rule.Requests,
		limit:      rule.Requests,
		remaining:  max(0, rule.Requests-w.count),
		retryAfter: math.Ceil(w.ends.Sub(now).Seconds()),
	}
}

// header tells the client how much is left.
func (l limited) header() http.Header {
	if l.limit == 0 {
		return nil
	}
	h := http.Header{
		"Ratelimit-Limit":     {strconv.Itoa(l.limit)},
		"Ratelimit-Remaining": {strconv.Itoa(l.remaining)},
		"Ratelimit-Reset":     {strconv.FormatFloat(l.retryAfter, 'f', 0, 64)},
	}
	if l.exceeded {
		h["Retry-After"] = h["Ratelimit-Reset"]
	}
	return h
}
