package demo

import (
	"context"
	"errors"
	"net/http"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
)

// orderPage is the content of the thank-you page. A real shop would show only
// the order.
type orderPage struct {
	Order order
	Click *clickid.Click // the visitor's
	State conversionState
}

// conversionState is the state of an order's conversion. A final one does not
// change any more.
type conversionState struct {
	Name, Text string
	Final      bool
}

func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	o, err := findOrder(r.Context(), s.db, r.PathValue("number"))
	if errors.Is(err, errNoOrder) {
		s.pages.fail(w, http.StatusNotFound, "The shop has no such order.")
		return
	}
	page := orderPage{Order: o}
	if err == nil {
		page.State, err = s.conversionState(r.Context(), o)
	}
	if err != nil {
		s.log.Error("demo: showing an order", "error", err)
		s.pages.fail(w, http.StatusInternalServerError, "The order could not be read.")
		return
	}
	if click, ok := clickid.FromContext(r.Context()); ok {
		page.Click = &click
	}
	s.pages.show(w, http.StatusOK, "order.html", "Thank you", page)
}

// conversionState asks the outbox about the order's conversion.
func (s *shop) conversionState(ctx context.Context, o order) (conversionState, error) {
	if !o.Paid {
		return conversionState{Name: "waiting", Text: "The shop waits for the payment."}, nil
	}
	if o.Conversion == clickid.VerdictSkippedOrganic.String() {
		return conversionState{Name: "organic", Text: "The visitor did not come from the ad, so the shop sends nothing to the platform.", Final: true}, nil
	}
	entries, err := s.outbox.Find(ctx, o.EventID())
	if err != nil {
		return conversionState{}, err
	}
	for _, e := range entries {
		switch e.State {
		case outbox.StateDelivered:
			return conversionState{Name: "accepted", Text: "The platform has accepted it.", Final: true}, nil
		case outbox.StateQueued:
			return conversionState{Name: "queued", Text: "It is in the shop's outbox, which sends it in the background until the platform accepts it."}, nil
		case outbox.StateSkipped, outbox.StateDeadLettered:
			return conversionState{Name: e.State.String(), Text: e.Reason, Final: true}, nil
		}
	}
	return conversionState{Name: o.Conversion, Text: "The shop's outbox does not remember it any more.", Final: true}, nil
}
