package clickid

import (
	"context"
	"log/slog"
	"time"
)

// Observation is an observation of a [Tracker], for monitoring. It contains no
// personal data: no click ID, no token, no URL.
type Observation struct {
	// Kind is the kind of the observation.
	Kind Kind
	// Reason is set for KindRefused, KindUnchanged, KindClickAtRisk and
	// KindCookieConflict. For other kinds it is "".
	Reason Reason
	// Param is the URL parameter of the click ID, or "" without one.
	Param string
	// Speculative marks the click of a prefetched or prerendered page. The
	// visitor may never see the page, so do not count the click.
	Speculative bool
	// Recovered marks a click from a same-origin Referer.
	Recovered bool
	// Age is the time from the platform's issue of the click ID to the capture,
	// with KindCaptured and KindUnchanged. It is 0 if the ID has no time. A shared
	// link may be days old.
	Age time.Duration
	// Duration is the time of the calls of store and linker: of the save with
	// KindCaptured and KindFellBack, of the erasure with KindForgotten and
	// KindDenied, and of the failed call with KindStoreError. It is 0 without a
	// call, as in a cookie store, and for other kinds.
	Duration time.Duration
	// Err is the cause of KindStoreError, KindFellBack and KindPanic, or nil.
	Err error

	landing bool // a refused click that may have been paid for
}

// Kind is the kind of an [Observation].
type Kind string

const (
	// KindCaptured means that a click was stored.
	KindCaptured Kind = "captured"
	// KindUnchanged means that a valid click arrived and the stored one was kept.
	KindUnchanged Kind = "unchanged"
	// KindRefused means that a click parameter was not accepted.
	KindRefused Kind = "refused"
	// KindDeferred means that a click arrived while consent was unknown, and
	// was not stored.
	KindDeferred Kind = "deferred"
	// KindDenied means that a click was not stored, or was erased, because
	// consent is denied.
	KindDenied Kind = "denied"
	// KindForgotten means that the visitor's click was erased on request. A failed
	// erasure is a KindStoreError, and the page that repeats it a KindDenied.
	KindForgotten Kind = "forgotten"
	// KindInvalidCookie means that a cookie was forged, damaged or signed with
	// a retired key.
	KindInvalidCookie Kind = "invalid cookie"
	// KindStoreError means that the store or linker failed. The page was served.
	KindStoreError Kind = "store error"
	// KindFellBack means that the primary of a fallback store failed to store a
	// click in time and the fallback stored it. [KindCaptured] follows.
	KindFellBack Kind = "fell back"
	// KindLostClick means that a landing from the platform (utm_source=scope3)
	// has no click ID. Usually a redirect has dropped it.
	KindLostClick Kind = "lost click"
	// KindClickAtRisk means that the response to a landing loses the click. The
	// reason names the fix.
	KindClickAtRisk Kind = "click at risk"
	// KindLongToken means that the token of a captured click is longer than the
	// 500 characters of payment metadata, so that [Token] returns false.
	KindLongToken Kind = "long token"
	// KindCookieConflict means that two trackers in a chain have the same
	// cookie, so that each deletes the clicks of the other. It is reported once.
	KindCookieConflict Kind = "cookie conflict"
	// KindPanic means that a function of [Config] panicked. The page was served.
	KindPanic Kind = "panic"
)

// Reason is the reason why a click was refused, left unchanged or is at risk.
type Reason string

// The reasons. Their texts describe them, with the fix.
const (
	ReasonMethod      Reason = "the request is not a GET"
	ReasonDestination Reason = "the request is not a navigation to a page"
	ReasonPrefetch    Reason = "the request is a link prefetch"
	ReasonValue       Reason = "the value is not an acceptable click ID"
	ReasonSameClick   Reason = "the visitor already has this click"
	ReasonTouch       Reason = "the attribution rule keeps the stored click"
	ReasonCookieName  Reason = "another tracker around this one has the same cookie: give each tracker its own Config.Cookie.Name"

	// Browsers refuse the cookie of the response, and no redirect keeps the
	// parameter.
	ReasonDomain    Reason = "Cookie.Domain does not cover the request's host: name the hosts that keep clicks in Config.Hosts, or correct the domain"
	ReasonPlainHTTP Reason = "browsers refuse a secure cookie over plain HTTP: serve the landing over HTTPS, or set Cookie.Insecure for development"

	// The response loses the click.
	ReasonRedirect      Reason = "the landing is redirected to where its cookie is not sent, without the click parameter: keep the query in that redirect"
	ReasonStripped      Reason = "StripParam has removed the click parameter before a redirect to where the cookie is not sent: set Config.Hosts to the hosts after the redirect, or share the cookie with Cookie.Domain"
	ReasonCookieDropped Reason = "the click's cookie is gone from the response: put the middleware that replaces headers, such as a timeout, outside of the tracker"
)

// observeFailure reports that a call of store or linker failed.
func (t *Tracker) observeFailure(ctx context.Context, start time.Time, err error) {
	t.observe(ctx, Observation{Kind: KindStoreError, Duration: time.Since(start), Err: err})
}

// observe reports o to hook and log.
func (t *Tracker) observe(ctx context.Context, o Observation) {
	paid := o.landing
	o.landing = false
	t.callHook(ctx, o)
	level := slog.LevelDebug
	switch o.Kind {
	case KindStoreError, KindFellBack, KindCookieConflict, KindPanic:
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
	attrs := make([]slog.Attr, 0, 7)
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
	if o.Duration != 0 {
		attrs = append(attrs, slog.Duration("duration", o.Duration))
	}
	if o.Err != nil {
		attrs = append(attrs, slog.Any("error", o.Err))
	}
	t.logger.LogAttrs(ctx, level, "clickid: "+string(o.Kind), attrs...)
}

// callHook calls the application's hook and recovers from its panic.
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
