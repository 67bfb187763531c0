package demo

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/clickid/clickid"
)

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", style)
	mux.HandleFunc("GET /{$}", s.showCatalogue)
	// The ad's landing page moves on and drops the query, as redirects for
	// campaigns, languages and logins do. The click has been captured by then.
	mux.Handle("GET /summer", http.RedirectHandler("/products/trail-shoe", http.StatusFound))
	mux.HandleFunc("GET /products/{id}", s.showProduct)
	mux.HandleFunc("GET /checkout/{id}", s.showCheckout)
	mux.HandleFunc("POST /orders", s.placeOrder)
	mux.HandleFunc("GET /orders/{number}", s.showOrder)
	mux.HandleFunc("POST /webhooks/payment", s.paymentArrived)
	return s.tracker.Handler(mux)
}

func (s *shop) showCatalogue(w http.ResponseWriter, _ *http.Request) {
	s.pages.show(w, http.StatusOK, "catalogue.html", "Nordfell Outdoor", catalogue)
}

func (s *shop) showProduct(w http.ResponseWriter, r *http.Request) { s.showOne(w, r, "product.html") }

func (s *shop) showCheckout(w http.ResponseWriter, r *http.Request) { s.showOne(w, r, "checkout.html") }

// showOne shows a page about the product in the URL.
func (s *shop) showOne(w http.ResponseWriter, r *http.Request, page string) {
	p, ok := findProduct(r.PathValue("id"))
	if !ok {
		s.pages.fail(w, http.StatusNotFound, "The shop does not sell that.")
		return
	}
	s.pages.show(w, http.StatusOK, page, p.Name, p)
}

// placeOrder is the checkout: paid at once by card, or on the provider's page.
func (s *shop) placeOrder(w http.ResponseWriter, r *http.Request) {
	p, ok := findProduct(r.FormValue("product"))
	if !ok {
		s.pages.fail(w, http.StatusNotFound, "The shop does not sell that.")
		return
	}
	place := s.orderByCard
	if r.FormValue("payment") == "provider" {
		place = s.orderForProvider
	}
	next, err := place(r.Context(), p)
	if err != nil {
		s.log.Error("placing an order", "error", err)
		s.pages.fail(w, http.StatusInternalServerError, "The order could not be placed. Nothing was charged.")
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// orderByCard completes the order in the visitor's own request, and returns the
// page that thanks for it.
func (s *shop) orderByCard(ctx context.Context, p product) (next string, err error) {
	err = s.inTransaction(ctx, func(tx *sql.Tx) error {
		o, err := insertOrder(ctx, tx, p)
		if err != nil {
			return err
		}
		next = s.orderURL(o)
		return s.complete(ctx, tx, o, o.event())
	})
	return next, err
}

// orderForProvider leaves the order unpaid and returns the provider's page. The
// click's token travels in the payment's metadata: the webhook will have no
// cookie.
func (s *shop) orderForProvider(ctx context.Context, p product) (next string, err error) {
	o, err := insertOrder(ctx, s.db, p)
	if err != nil {
		return "", err
	}
	token, _ := clickid.Token(ctx) // none for an organic visitor
	request, err := json.Marshal(payment{
		Amount:   p.Price + " " + currency,
		Metadata: map[string]string{"order": strconv.FormatInt(o.Number, 10), "click": token},
		Webhook:  s.url + "/webhooks/payment",
		Return:   s.url + s.orderURL(o),
	})
	if err != nil {
		return "", err
	}
	answer, err := post(ctx, s.client, s.provider+"/payments", request, nil)
	if err != nil {
		return "", err
	}
	var created payment
	if err := json.Unmarshal(answer, &created); err != nil {
		return "", err
	}
	return s.provider + "/pay/" + created.ID, nil
}

// paymentArrived is the provider's webhook. It may come more than once: the
// conversion keeps the order's ID, so that it is counted once.
func (s *shop) paymentArrived(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil || !hmac.Equal([]byte(r.Header.Get(signatureHeader)), []byte(sign(s.secret, body))) {
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return
	}
	var paid payment
	if err := json.Unmarshal(body, &paid); err != nil {
		http.Error(w, "no payment", http.StatusBadRequest)
		return
	}
	err = s.inTransaction(r.Context(), func(tx *sql.Tx) error {
		o, err := findOrder(r.Context(), tx, paid.Metadata["order"])
		if err != nil {
			return err
		}
		event := o.event()
		event.ClickToken = paid.Metadata["click"]
		return s.complete(r.Context(), tx, o, event)
	})
	switch {
	case errors.Is(err, errNoOrder):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		s.log.Error("completing a paid order", "error", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	}
}

// complete marks the order as paid and reports its conversion in the same
// transaction: both are kept, or neither.
func (s *shop) complete(ctx context.Context, tx *sql.Tx, o order, event clickid.Event) error {
	result, err := clickid.Convert(ctx, s.outbox.In(tx), event)
	if errors.Is(err, clickid.ErrInvalidEvent) {
		// The order is good all the same.
		s.log.Error("the conversion is refused", "order", o.Number, "error", err)
	} else if err != nil {
		return err
	}
	o.Conversion = result.Verdict.String()
	return completeOrder(ctx, tx, o)
}

func (s *shop) inTransaction(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (s *shop) orderURL(o order) string { return "/orders/" + strconv.FormatInt(o.Number, 10) }

// orderPage is what the thank-you page shows. A real shop's page would end
// with the order; the rest is the demo's look behind the scenes.
type orderPage struct {
	Order    order
	Click    *clickid.Click // the visitor's
	Received *receivedEvent // what the platform has of it
}

func (orderPage) live() {}

func (s *shop) showOrder(w http.ResponseWriter, r *http.Request) {
	o, err := findOrder(r.Context(), s.db, r.PathValue("number"))
	if errors.Is(err, errNoOrder) {
		s.pages.fail(w, http.StatusNotFound, "There is no such order.")
		return
	}
	if err != nil {
		s.log.Error("showing an order", "error", err)
		s.pages.fail(w, http.StatusInternalServerError, "The order could not be read.")
		return
	}
	page := orderPage{Order: o, Received: s.platform.find(o.EventID())}
	if click, ok := clickid.FromContext(r.Context()); ok {
		page.Click = &click
	}
	s.pages.show(w, http.StatusOK, "order.html", "Thank you", page)
}
