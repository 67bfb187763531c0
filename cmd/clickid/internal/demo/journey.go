package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
)

// Outcome is the result of the journey.
type Outcome struct {
	// ClickID is the ID of the click, issued by the platform.
	ClickID string `json:"click_id"`
	// EventID is the ID of the conversion of the visitor's first order.
	EventID string `json:"event_id"`
	// Accepted reports whether the receiver accepted that conversion and every
	// other step succeeded.
	Accepted bool `json:"accepted"`
	// Conversions counts the events that the receiver accepted.
	Conversions int `json:"conversions"`
	// Dialect is the dialect of the shop's client.
	Dialect Dialect `json:"dialect"`
	// Error is the error of the step that failed.
	Error string `json:"error,omitempty"`
}

// journey makes the journey step by step.
type journey struct {
	*World
	progress io.Writer
	outcome  Outcome
	customer *visitor // came from the ad
	orders   int      // attributed ones that the receiver accepted
	waiting  string   // event ID of the order that was placed in the outage
	endFault func()   // ends the outage
	exhibits []string // of the current step
}

// Walk makes the journey of an ad click over HTTP and writes its progress, one
// line for each step. It returns the error of the first step that fails.
func (w *World) Walk(ctx context.Context, progress io.Writer) (Outcome, error) {
	j := &journey{World: w, progress: progress, customer: newVisitor(), outcome: Outcome{Dialect: w.shopPlan.dialect}}
	started := time.Now()
	err := j.walk(ctx)
	j.outcome.Conversions = w.platform.Platform.Count()
	if err != nil {
		j.outcome.Error = err.Error()
		return j.outcome, err
	}
	j.outcome.Accepted = true
	fmt.Fprintf(progress, "All steps succeeded in %d ms.\n", time.Since(started).Milliseconds())
	return j.outcome, nil
}

func (j *journey) walk(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"ad click and landing", j.clickAd},
		{"second page", j.openSecondPage},
		{"checkout", j.orderFirst},
		{"second order", j.orderAgain},
		{"organic visitor", j.orderOrganic},
		{"webhook order", j.orderByWebhook},
		{"order in an outage", j.orderInOutage},
		{"restart of the shop", j.restart},
		{"end of the outage", j.endOutage},
		{"total at the receiver", j.checkReceiver},
	} {
		detail, err := step.do(ctx)
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", err, cause)
		}
		if err != nil {
			fmt.Fprintf(j.progress, "✗ %-22s %v\n", step.name, err)
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(j.progress, "✓ %-22s %s\n", step.name, detail)
		j.printExhibits()
	}
	return nil
}

// clickAd follows the ad through the platform's redirect to the shop, whose
// landing page redirects once more and drops the query.
func (j *journey) clickAd(ctx context.Context) (string, error) {
	news, err := j.customer.open(ctx, j.NewsURL())
	if err != nil {
		return "", err
	}
	ad, err := news.attribute("data-ad href")
	if err != nil {
		return "", err
	}
	page, err := j.customer.open(ctx, ad)
	if err != nil {
		return "", err
	}
	if len(page.hops) != 2 {
		return "", fmt.Errorf("the ad led through %d redirects, want 2", len(page.hops))
	}
	landing := page.hops[1]
	j.outcome.ClickID = landing.Request.URL.Query().Get("clkid")
	if !clickid.IsULID(j.outcome.ClickID) {
		return "", errors.New("the platform's redirect has no click ID")
	}
	if page.url.RawQuery != "" {
		return "", errors.New("the shop's redirect kept the query")
	}
	if !j.customer.hasCookie(j.ShopURL(), "clkid") {
		return "", errors.New("the shop set no cookie")
	}
	j.exhibit(exhibitOf(landing, "Location", "Set-Cookie"))
	return fmt.Sprintf("%s, through 2 redirects to %s", j.outcome.ClickID, page.url.Path), nil
}

func (j *journey) openSecondPage(ctx context.Context) (string, error) {
	page, err := j.customer.open(ctx, j.ShopURL()+"checkout/trail-shoe")
	if err != nil {
		return "", err
	}
	if strings.Contains(page.url.String()+page.html, j.outcome.ClickID) {
		return "", errors.New("the second page contains the click ID")
	}
	return page.url.Path + ", without the click ID", nil
}

func (j *journey) orderFirst(ctx context.Context) (string, error) {
	eventID, detail, err := j.orderAttributed(ctx, "trail-shoe", "card")
	j.outcome.EventID = eventID
	if err != nil {
		return "", err
	}
	conversion, err := j.platform.acceptance(ctx, eventID)
	if err != nil {
		return "", err
	}
	j.exhibit(exhibitOf(j.customer.hops[0], "Location"), exhibitOfConversion(conversion))
	return detail, nil
}

func (j *journey) orderAgain(ctx context.Context) (string, error) {
	eventID, detail, err := j.orderAttributed(ctx, "bottle", "card")
	if err == nil && eventID == j.outcome.EventID {
		err = errors.New("the second order has the event ID of the first")
	}
	return detail, err
}

// orderOrganic orders as a visitor who has not clicked the ad.
func (j *journey) orderOrganic(ctx context.Context) (string, error) {
	ordered, err := j.order(ctx, newVisitor(), "rain-jacket", "card")
	if err != nil {
		return "", err
	}
	if ordered.conversion != clickid.VerdictSkippedOrganic.String() {
		return "", fmt.Errorf("the conversion is %q, want %q", ordered.conversion, clickid.VerdictSkippedOrganic)
	}
	return ordered.eventID + ", not attributed and not sent", nil
}

// orderByWebhook pays on the provider's page. The provider calls its webhook
// twice and without cookies.
func (j *journey) orderByWebhook(ctx context.Context) (string, error) {
	_, detail, err := j.orderAttributed(ctx, "rain-jacket", "provider")
	return detail, err
}

// placed is an order as the thank-you page shows it.
type placed struct{ eventID, conversion string }

// order buys a product.
func (j *journey) order(ctx context.Context, v *visitor, product, payment string) (placed, error) {
	page, err := v.submit(ctx, j.ShopURL()+"orders", url.Values{"product": {product}, "payment": {payment}})
	if err != nil {
		return placed{}, err
	}
	if payment == "provider" {
		if page, err = v.submit(ctx, page.url.String(), nil); err != nil {
			return placed{}, err
		}
	}
	eventID, err := page.attribute("data-event")
	if err != nil {
		return placed{}, err
	}
	conversion, err := page.attribute("data-conversion")
	return placed{eventID, conversion}, err
}

// orderAttributed has the customer order, and waits until the receiver has
// accepted the conversion with the customer's click.
func (j *journey) orderAttributed(ctx context.Context, product, payment string) (eventID, detail string, err error) {
	eventID, err = j.orderQueued(ctx, product, payment)
	if err != nil {
		return eventID, "", err
	}
	return eventID, eventID + ", accepted with the click", j.awaitEvent(ctx, eventID)
}

// orderQueued has the customer order.
func (j *journey) orderQueued(ctx context.Context, product, payment string) (eventID string, err error) {
	ordered, err := j.order(ctx, j.customer, product, payment)
	if err == nil && ordered.conversion != clickid.VerdictQueued.String() {
		err = fmt.Errorf("the conversion of %s is %q, want %q", ordered.eventID, ordered.conversion, clickid.VerdictQueued)
	}
	return ordered.eventID, err
}

// awaitEvent waits until the receiver has accepted one more event, and checks
// that it is this event, with the customer's click.
func (j *journey) awaitEvent(ctx context.Context, id string) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() {
		select {
		case status := <-j.platform.refused:
			fail(fmt.Errorf("the response was %d %s", status, http.StatusText(status)))
		case <-ctx.Done():
		}
	}()
	j.orders++
	events, err := j.platform.Platform.Wait(ctx, j.orders)
	if err != nil {
		return fmt.Errorf("the receiver has not accepted %s: %w", id, context.Cause(ctx))
	}
	latest := events[len(events)-1]
	if latest.ID != id {
		return fmt.Errorf("%s arrived instead of %s", latest.ID, id)
	}
	if latest.ClickID != j.outcome.ClickID {
		return fmt.Errorf("%s arrived without the customer's click", id)
	}
	return nil
}

// queuePoll is how often awaitEmptyQueue measures the queue.
const queuePoll = 10 * time.Millisecond

// awaitEmptyQueue waits until the shop's outbox has recorded every delivery.
func (j *journey) awaitEmptyQueue(ctx context.Context) error {
	poll := time.NewTicker(queuePoll)
	defer poll.Stop()
	for {
		stats, err := j.shop.outbox.Stats(ctx)
		if err != nil {
			return err
		}
		if stats.Queued == 0 {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("%d conversions are still in the queue: %w", stats.Queued, context.Cause(ctx))
		}
	}
}

// orderInOutage orders while the platform closes every connection. Its port stays
// reserved, so that no other program can take it.
func (j *journey) orderInOutage(ctx context.Context) (string, error) {
	// The receiver counts an event before it sends its response, and the outbox
	// records the delivery after that. An outage in between leaves the event in
	// the queue, to be sent again.
	if err := j.awaitEmptyQueue(ctx); err != nil {
		return "", err
	}
	j.endFault = j.platform.Platform.Always(clickidtest.Fault{Cut: clickidtest.CutBeforeReading})
	eventID, err := j.orderQueued(ctx, "bottle", "card")
	j.waiting = eventID
	return eventID + ", queued", err
}

// restart stops the shop and its outbox and starts them again.
func (j *journey) restart(ctx context.Context) (string, error) {
	if err := j.restartShop(ctx); err != nil {
		return "", err
	}
	stats, err := j.shop.outbox.Stats(ctx)
	if err != nil {
		return "", err
	}
	if stats.Queued != 1 {
		return "", fmt.Errorf("%d conversions are in the queue, want 1", stats.Queued)
	}
	return j.waiting + " is still queued", nil
}

func (j *journey) endOutage(ctx context.Context) (string, error) {
	j.endFault()
	return j.waiting + ", accepted with the click", j.awaitEvent(ctx, j.waiting)
}

// checkReceiver checks that the receiver accepted no other event.
func (j *journey) checkReceiver(context.Context) (string, error) {
	if count := j.platform.Platform.Count(); count != j.orders {
		return "", fmt.Errorf("the receiver accepted %d events, want %d", count, j.orders)
	}
	return fmt.Sprintf("%d conversions, each accepted once", j.orders), nil
}
