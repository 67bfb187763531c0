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
)

// Outcome is what the journey came to.
type Outcome struct {
	// ClickID is the click that the platform issued.
	ClickID string `json:"click_id"`
	// EventID is the conversion of the visitor's first order.
	EventID string `json:"event_id"`
	// Accepted says that the receiver accepted it, and that everything else
	// happened too.
	Accepted bool `json:"accepted"`
	// Conversions counts the events that the receiver accepted.
	Conversions int `json:"conversions"`
	// Dialect is what the shop sent.
	Dialect Dialect `json:"dialect"`
	// Error says what did not happen.
	Error string `json:"error,omitempty"`
}

// journey walks through the world step by step.
type journey struct {
	*World
	progress io.Writer
	outcome  Outcome
	customer *visitor // came from the ad
	orders   int      // attributed ones that the receiver has
	waiting  string   // event ID of the order that was placed in the outage
}

// Walk makes the journey of an ad click by itself, over HTTP, and tells its
// progress. The error says what did not happen.
func (w *World) Walk(ctx context.Context, progress io.Writer) (Outcome, error) {
	j := &journey{World: w, progress: progress, customer: newVisitor(), outcome: Outcome{Dialect: w.shopPlan.dialect}}
	started := time.Now()
	err := j.walk(ctx)
	j.outcome.Conversions = w.receiver.Count()
	if err != nil {
		j.outcome.Error = err.Error()
		return j.outcome, err
	}
	j.outcome.Accepted = true
	fmt.Fprintf(progress, "All of it happened, in %d ms.\n", time.Since(started).Milliseconds())
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
		{"restart of the sender", j.restart},
		{"end of the outage", j.endOutage},
		{"all at the receiver", j.checkReceiver},
	} {
		detail, err := step.do(ctx)
		if err != nil {
			fmt.Fprintf(j.progress, "✗ %-22s %v\n", step.name, err)
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(j.progress, "✓ %-22s %s\n", step.name, detail)
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
		return "", fmt.Errorf("the ad led over %d redirects and not 2", len(page.hops))
	}
	landing, err := url.Parse(page.hops[1])
	if err != nil {
		return "", err
	}
	j.outcome.ClickID = landing.Query().Get("clkid")
	if !clickid.IsULID(j.outcome.ClickID) {
		return "", errors.New("the platform's redirect carried no click ID")
	}
	if page.url.RawQuery != "" {
		return "", errors.New("the shop's redirect kept the query")
	}
	if !j.customer.hasCookie(j.ShopURL(), "clkid") {
		return "", errors.New("the shop set no cookie")
	}
	return fmt.Sprintf("%s, over 2 redirects to %s", j.outcome.ClickID, page.url.Path), nil
}

func (j *journey) openSecondPage(ctx context.Context) (string, error) {
	page, err := j.customer.open(ctx, j.ShopURL()+"checkout/trail-shoe")
	if err != nil {
		return "", err
	}
	if strings.Contains(page.url.String()+page.html, j.outcome.ClickID) {
		return "", errors.New("the click ID stands on the second page")
	}
	return page.url.Path + ", without a click ID in sight", nil
}

func (j *journey) orderFirst(ctx context.Context) (string, error) {
	eventID, detail, err := j.orderAttributed(ctx, "trail-shoe", "card")
	j.outcome.EventID = eventID
	return detail, err
}

func (j *journey) orderAgain(ctx context.Context) (string, error) {
	eventID, detail, err := j.orderAttributed(ctx, "bottle", "card")
	if err == nil && eventID == j.outcome.EventID {
		err = errors.New("it has the first one's event ID")
	}
	return detail, err
}

// orderOrganic is the order of a visitor who saw no ad.
func (j *journey) orderOrganic(ctx context.Context) (string, error) {
	ordered, err := j.order(ctx, newVisitor(), "rain-jacket", "card")
	if err != nil {
		return "", err
	}
	if ordered.conversion != clickid.VerdictSkippedOrganic.String() {
		return "", fmt.Errorf("the conversion is %q and not %q", ordered.conversion, clickid.VerdictSkippedOrganic)
	}
	return ordered.eventID + ", not attributed and not sent", nil
}

// orderByWebhook pays on the provider's page, whose webhook has no cookies and
// comes twice.
func (j *journey) orderByWebhook(ctx context.Context) (string, error) {
	_, detail, err := j.orderAttributed(ctx, "rain-jacket", "provider")
	return detail, err
}

// placed is an order as its thank-you page shows it.
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
		err = fmt.Errorf("the conversion of %s is %s", ordered.eventID, ordered.conversion)
	}
	return ordered.eventID, err
}

// awaitEvent waits until the receiver has accepted one event more, and checks
// that it is this one, with the customer's click.
func (j *journey) awaitEvent(ctx context.Context, id string) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() {
		select {
		case status := <-j.shopPlan.platform.refused:
			fail(fmt.Errorf("it answered %d %s", status, http.StatusText(status)))
		case <-ctx.Done():
		}
	}()
	j.orders++
	events, err := j.receiver.Wait(ctx, j.orders)
	if err != nil {
		return fmt.Errorf("the receiver has not accepted %s: %w", id, context.Cause(ctx))
	}
	latest := events[len(events)-1]
	if latest.ID != id {
		return fmt.Errorf("%s arrived in place of %s", latest.ID, id)
	}
	if latest.ClickID != j.outcome.ClickID {
		return fmt.Errorf("%s arrived without the visitor's click", id)
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

// orderInOutage orders while nothing listens at the platform's address.
func (j *journey) orderInOutage(ctx context.Context) (string, error) {
	// The receiver counts an event before it sends its response, and the outbox
	// records the delivery after that. An outage in between leaves the event in
	// the queue, to be sent again.
	if err := j.awaitEmptyQueue(ctx); err != nil {
		return "", err
	}
	j.receiver.Stop()
	eventID, err := j.orderQueued(ctx, "bottle", "card")
	j.waiting = eventID
	return eventID + ", thanked for and queued", err
}

// restart ends the shop with its sender and starts it again.
func (j *journey) restart(ctx context.Context) (string, error) {
	if err := j.restartShop(ctx); err != nil {
		return "", err
	}
	stats, err := j.shop.outbox.Stats(ctx)
	if err != nil {
		return "", err
	}
	if stats.Queued != 1 {
		return "", fmt.Errorf("%d conversions are queued after it and not 1", stats.Queued)
	}
	return j.waiting + " is still queued", nil
}

func (j *journey) endOutage(ctx context.Context) (string, error) {
	if err := j.receiver.Restart(); err != nil {
		return "", err
	}
	return j.waiting + ", accepted with the click", j.awaitEvent(ctx, j.waiting)
}

// checkReceiver checks that nothing else arrived.
func (j *journey) checkReceiver(context.Context) (string, error) {
	if count := j.receiver.Count(); count != j.orders {
		return "", fmt.Errorf("%d events were accepted and not %d", count, j.orders)
	}
	return fmt.Sprintf("%d conversions, each counted once, nothing else", j.orders), nil
}
