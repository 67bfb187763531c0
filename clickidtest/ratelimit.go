package clickidtest

import (
	"math"
	"net"
	"net/http"
	"strconv"
	"time"
)

// quota counts the requests of one client address until it ends.
type quota struct {
	ends  time.Time
	count int
}

// limited is the state of the rate limit after a request.
type limited struct {
	exceeded   bool
	limit      int // 0 if there is no limit
	remaining  int
	retryAfter float64 // seconds
}

// limit counts the request against the rate limit.
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
	q := x.quotas[address]
	if q == nil || !now.Before(q.ends) {
		q = &quota{ends: now.Add(rule.Per)}
		x.quotas[address] = q
	}
	q.count++
	return limited{
		exceeded:   q.count > rule.Requests,
		limit:      rule.Requests,
		remaining:  max(0, rule.Requests-q.count),
		retryAfter: math.Ceil(q.ends.Sub(now).Seconds()),
	}
}

// header returns the response headers that report the limit.
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
