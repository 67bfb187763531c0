package clickidotel

import (
	"context"
	"errors"
	"time"

	"github.com/clickid/clickid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// OnCapture is the Hook of a clickid.Config. It counts observations, measures
// the store's calls behind them, and adds them to the span of the request, if
// there is one.
func (t *Telemetry) OnCapture(ctx context.Context, o clickid.Observation) {
	attributes := []attribute.KeyValue{
		attribute.String("clickid.outcome", string(o.Kind)),
		attribute.Bool("clickid.speculative", o.Speculative),
	}
	if o.Reason != "" {
		attributes = append(attributes, attribute.String("clickid.reason", string(o.Reason)))
	}
	t.captures.Add(ctx, 1, metric.WithAttributes(attributes...))
	if o.Duration > 0 {
		t.captureDuration.Record(ctx, o.Duration.Seconds(), metric.WithAttributes(attributes[0]))
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("clickid."+string(o.Kind), trace.WithAttributes(attributes...))
	}
}

// Store returns s with a span and a duration for each operation. It has the
// methods of [clickid.Linker] and [clickid.TokenChecker] if s has them. It is
// for stores on a server: the cookie store needs no measurement, and loses its
// shortcuts by it.
func (t *Telemetry) Store(s clickid.Store) clickid.Store {
	base := measuredStore{store: s, telemetry: t}
	linker, links := s.(clickid.Linker)
	checker, checks := s.(clickid.TokenChecker)
	measured := measuredLinker{linker: linker, telemetry: t}
	switch {
	case links && checks:
		return struct {
			measuredStore
			measuredLinker
			clickid.TokenChecker
		}{base, measured, checker}
	case links:
		return struct {
			measuredStore
			measuredLinker
		}{base, measured}
	case checks:
		return struct {
			measuredStore
			clickid.TokenChecker
		}{base, checker}
	}
	return base
}

// operation measures an operation of a store. A missing click is not an error.
func (t *Telemetry) operation(ctx context.Context, name string, do func(context.Context) error) {
	ctx, span := t.tracer.Start(t.ofOrder(ctx), "clickid.store."+name, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	start := time.Now()
	err := do(ctx)
	attributes := []attribute.KeyValue{attribute.String("clickid.store.operation", name)}
	switch {
	case err == nil:
	case errors.Is(err, clickid.ErrNotFound), errors.Is(err, clickid.ErrInvalid):
		attributes = append(attributes, attribute.Bool("clickid.found", false))
	default:
		attributes = append(attributes, errorType(err))
		span.SetStatus(codes.Error, "")
	}
	span.SetAttributes(attributes...)
	t.storeDuration.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(attributes...))
}

// errorType returns the attribute of an error. The text of an error has too many
// values for an attribute.
func errorType(err error) attribute.KeyValue {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return attribute.String("error.type", "timeout")
	case errors.Is(err, context.Canceled):
		return attribute.String("error.type", "canceled")
	}
	return attribute.String("error.type", "_OTHER")
}

type measuredStore struct {
	store     clickid.Store
	telemetry *Telemetry
}

func (m measuredStore) Save(ctx context.Context, c clickid.Click) (token string, err error) {
	m.telemetry.operation(ctx, "save", func(ctx context.Context) error {
		token, err = m.store.Save(ctx, c)
		return err
	})
	return token, err
}

func (m measuredStore) Load(ctx context.Context, token string) (c clickid.Click, err error) {
	m.telemetry.operation(ctx, "load", func(ctx context.Context) error {
		c, err = m.store.Load(ctx, token)
		return err
	})
	return c, err
}

func (m measuredStore) Delete(ctx context.Context, token string) (err error) {
	m.telemetry.operation(ctx, "delete", func(ctx context.Context) error {
		err = m.store.Delete(ctx, token)
		return err
	})
	return err
}

type measuredLinker struct {
	linker    clickid.Linker
	telemetry *Telemetry
}

func (m measuredLinker) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) (err error) {
	m.telemetry.operation(ctx, "link", func(ctx context.Context) error {
		err = m.linker.Link(ctx, k, token, expires)
		return err
	})
	return err
}

func (m measuredLinker) Linked(ctx context.Context, k clickid.Key) (token string, err error) {
	m.telemetry.operation(ctx, "linked", func(ctx context.Context) error {
		token, err = m.linker.Linked(ctx, k)
		return err
	})
	return token, err
}

func (m measuredLinker) Unlink(ctx context.Context, k clickid.Key) (err error) {
	m.telemetry.operation(ctx, "unlink", func(ctx context.Context) error {
		err = m.linker.Unlink(ctx, k)
		return err
	})
	return err
}

func (m measuredLinker) UnlinkToken(ctx context.Context, token string) (err error) {
	m.telemetry.operation(ctx, "unlink_token", func(ctx context.Context) error {
		err = m.linker.UnlinkToken(ctx, token)
		return err
	})
	return err
}
