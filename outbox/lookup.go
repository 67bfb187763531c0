package outbox

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
)

// consentTimeout limits a call of [Config].Consent.
const consentTimeout = 5 * time.Second

// lookUp calls the consent function and the resolver. It returns false if the
// outcome follows from them.
func (d *Delivery) lookUp(ctx context.Context, r Record, e *clickid.Event) (Outcome, bool) {
	if d.cfg.RecheckClick && e.ClickToken != "" && time.Now().Before(e.Click.Expires) {
		e.Click = clickid.Click{}
	}
	needsClick := d.resolver != nil && e.ClickToken != "" && e.Click.IsZero()
	if d.cfg.Consent == nil && !needsClick {
		return Outcome{}, true
	}
	done, ok := d.lookups.allow()
	if !ok {
		return d.lookupFailed(r), false
	}
	outcome, proceed, err := d.consentAndClick(ctx, e, needsClick)
	switch {
	case outcome.Failure.Reason == reasonYoung:
		done(ending{health: healthUnknown})
		return outcome, false
	case err == nil:
		done(ending{})
		return outcome, proceed
	case errors.Is(err, errPanicked):
		done(ending{})
		return Outcome{Failure: Failure{Reason: reason(err)}}, false
	case errors.Is(ctx.Err(), context.Canceled):
		done(ending{health: healthUnknown})
		return snooze(0, reasonInterrupted, 0), false
	}
	done(ending{health: healthFailing, err: err})
	return d.lookupFailed(r), false
}

// consentAndClick looks up consent and click. It returns an error if one of the
// lookups fails.
func (d *Delivery) consentAndClick(ctx context.Context, e *clickid.Event, needsClick bool) (outcome Outcome, proceed bool, err error) {
	if d.cfg.Consent != nil {
		consent, err := d.consent(ctx, *e)
		if err != nil {
			return Outcome{}, false, err
		}
		if consent != clickid.ConsentGranted {
			return skip("the user's consent is " + consent.String()), false, nil
		}
		e.Consent = consent
	}
	if !needsClick {
		return Outcome{}, true, nil
	}
	young := d.young(e.ClickToken)
	click, err := d.resolve(ctx, e.ClickToken)
	switch {
	case errors.Is(err, clickid.ErrNotFound):
		if young > 0 {
			return snooze(young, reasonYoung, 0), false, nil
		}
	case err != nil && !errors.Is(err, clickid.ErrInvalid):
		return Outcome{}, false, err
	}
	e.Click, e.ClickToken = click, ""
	return Outcome{}, true, nil
}

// tokenAge is the age of a token from which "not found" means that there is no
// click. Before, the server that responds may not have the click yet, such as a
// replica after a failover.
const tokenAge = time.Minute

// young returns the time until the token has that age. A token that is dated
// further ahead than clocks differ is not young.
func (d *Delivery) young(token string) time.Duration {
	issued, ok := extension.TokenTime(token)
	if ahead := time.Until(issued); !ok || ahead > d.tokenAge {
		return 0
	}
	return time.Until(issued.Add(d.tokenAge))
}

func (d *Delivery) consent(ctx context.Context, e clickid.Event) (c clickid.Consent, err error) {
	ctx, cancel := context.WithTimeout(ctx, consentTimeout)
	defer cancel()
	defer d.recovered(ctx, "the Consent function", &err)
	return d.cfg.Consent(ctx, e)
}

func (d *Delivery) resolve(ctx context.Context, token string) (c clickid.Click, err error) {
	defer d.recovered(ctx, "the Resolver", &err)
	return d.resolver.Resolve(ctx, token)
}

// panicked is the error of a panic in application code.
type panicked struct{ what string }

func (p panicked) Error() string        { return "outbox: " + p.what + " panicked" }
func (p panicked) Is(target error) bool { return target == errPanicked }

var errPanicked = errors.New("outbox: the application's code panicked")

// recovered is deferred around application code, so that its panic does not end
// the process.
func (d *Delivery) recovered(ctx context.Context, what string, err *error) {
	if p := recover(); p != nil {
		// The panic's value may be personal, but its stack is not.
		d.logger.ErrorContext(ctx, "outbox: "+what+" panicked", "stack", string(debug.Stack()))
		*err = panicked{what}
	}
}

// lookupFailed returns the outcome of an event whose lookup failed.
func (d *Delivery) lookupFailed(r Record) Outcome {
	if wait, open := d.lookups.remaining(); open {
		return snooze(spread(max(wait, d.cfg.MinSnooze)), reasonLookup, 0)
	}
	return snooze(d.backoff(r), reasonLookup, 0)
}

func (d *Delivery) lookupsChanged(state breakerState, err error) {
	kind := KindLookupsFailing
	if state == breakerClosed {
		kind = KindLookupsRecovered
	}
	d.observe(context.Background(), Observation{Kind: kind, Err: err})
}
