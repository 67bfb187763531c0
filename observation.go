package clickid

import (
	"context"
	"log/slog"
	"time"
)

// Observation is one thing that a [Tracker] noticed. It holds no personal
// value: no click ID, no token, no URL.
type Observation struct {
	// Kind is what happened.
	Kind Kind
	// Reason tells why, for KindRefused, KindUnchanged and KindClickAtRisk.
	Reason Reason
	// Param is the URL parameter that carried the click ID, if any.
	Param string
	// Speculative marks a click that was stored for a prefetched or
	// prerendered page, which nobody may ever look at. Do not count it.
	Speculative bool
	// Recovered marks a click that was taken from a same-origin Referer.
	Recovered bool
	// Age is how long before the capture the platform issued the click ID, or
	// 0 when the ID does not say. Days are the mark of a shared link.
	Age time.Duration
	// Err is the cause of KindStoreError, KindFellBack and KindPanic.
	Err error

	landing bool // a refused click that somebody paid for
}

// Kind names what a [Tracker] noticed.
type Kind string

const (
	// KindCaptured: a click was stored.
	KindCaptured Kind = "captured"
	// KindUnchanged: a valid click arrived and the stored one was kept.
	KindUnchanged Kind = "unchanged"
	// KindRefused: a click parameter arrived and was not taken.
	KindRefused Kind = "refused"
	// KindDeferred: a click arrived while consent is unknown, and was not stored.
	KindDeferred Kind = "deferred"
	// KindDenied: a click arrived, or was forgotten, since consent is denied.
	KindDenied Kind = "denied"
	// KindForgotten: the visitor's click was removed at their wish. A KindStoreError
	// before it says that the cookie was, but not the record.
	KindForgotten Kind = "forgotten"
	// KindInvalidCookie: a cookie was forged, damaged or signed with a retired key.
	KindInvalidCookie Kind = "invalid cookie"
	// KindStoreError: the store or linker failed; the page was served.
	KindStoreError Kind = "store error"
	// KindFellBack: the primary of a fallback store did not take a click in time. The
	// fallback took it; [KindCaptured] follows.
	KindFellBack Kind = "fell back"
	// KindLostClick: a landing from the platform without its click ID
	// (utm_source=scope3), usually lost in a redirect.
	KindLostClick Kind = "lost click"
	// KindClickAtRisk: the response to a landing loses the click; the reason
	// names the fix.
	KindClickAtRisk Kind = "click at risk"
	// KindLongToken: the token of a captured click is longer than the 500
	// characters of payment metadata, so that [Token] reports false.
	KindLongToken Kind = "long token"
	// KindPanic: a function of [Config] panicked; the page was served.
	KindPanic Kind = "panic"
)

// Reason tells why a click was refused, left unchanged or is at risk.
type Reason string

const (
	ReasonMethod      Reason = "the request is not a GET"
	ReasonDestination Reason = "the request is not a navigation to a page"
	ReasonPrefetch    Reason = "the request is a link prefetch"
	ReasonValue       Reason = "the value is not an acceptable click ID"
	ReasonSameClick   Reason = "the visitor already has this click"
	ReasonTouch       Reason = "the attribution rule keeps the stored click"

	// Where browsers would refuse the cookie.
	ReasonDomain    Reason = "Cookie.Domain does not cover the request's host: name the hosts that keep clicks in Config.Hosts, or correct the domain"
	ReasonPlainHTTP Reason = "browsers refuse a secure cookie over plain HTTP: serve the landing over HTTPS, or set Cookie.Insecure for development"

	// How a response loses a click.
	ReasonRedirect      Reason = "the landing is redirected to where its cookie is not sent, without the click parameter: keep the query in that redirect"
	ReasonCookieDropped Reason = "the click's cookie is gone from the response: put the middleware that replaces headers, such as a timeout, outside of the tracker"
)

// observe reports o to the hook and the log.
func (t *Tracker) observe(ctx context.Context, o Observation) {
	paid := o.landing
	o.landing = false
	t.callHook(ctx, o)
	level := slog.LevelDebug
	switch o.Kind {
	case KindStoreError, KindFellBack, KindPanic:
		level = slog.LevelError
	case KindLostClick, KindClickAtRisk, KindLongToken:
		level = slog.LevelWarn
	case KindRefused:
		if paid {
			level = slog.LevelWarn
		}
	case KindInvalidCookie:
		level = slog.LevelInfo
	}
	if !t.logger.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 6)
	if o.Reason != "" {
		attrs = append(attrs, slog.String("reason", string(o.Reason)))
	}
	if o.Param != "" {
		attrs = append(attrs, slog.String("param", o.Param))
	}
	if o.Speculative {
		attrs = append(attrs, slog.Bool("speculative", true))
	}
	if o.Recovered {
		attrs = append(attrs, slog.Bool("recovered", true))
	}
	if o.Age != 0 {
		attrs = append(attrs, slog.Duration("age", o.Age))
	}
	if o.Err != nil {
		attrs = append(attrs, slog.Any("error", o.Err))
	}
	t.logger.LogAttrs(ctx, level, "clickid: "+string(o.Kind), attrs...)
}

// callHook calls the application's hook. Its panic is only logged.
func (t *Tracker) callHook(ctx context.Context, o Observation) {
	if t.hook == nil {
		return
	}
	defer func() {
		if err := panicError(recover(), "Config.Hook"); err != nil {
			t.logger.LogAttrs(ctx, slog.LevelError, "clickid: "+string(KindPanic), slog.Any("error", err))
		}
	}()
	t.hook(ctx, o)
}
