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
	mux := newMux()
	mux.HandleFunc("GET /{$}", s.showCatalogue)
	// The ad's landing page redirects and drops the query, as redirects for
	// campaigns, languages and logins do. The tracker has captured the click
	// before that.
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
		s.pages.fail(w, http.StatusNotFound, "The shop does not have this product.")
		return
	}
	s.pages.show(w, http.StatusOK, page, p.Name, p)
}

// placeOrder is the checkout. The visitor pays by card in this request, or later
// on the provider's page.
func (s *shop) placeOrder(w http.ResponseWriter, r *http.Request) {
	p, ok := findProduct(r.FormValue("product"))
	if !ok {
		s.pages.fail(w, http.StatusNotFound, "The shop does not have this product.")
		return
	}
	place := s.orderByCard
	if r.FormValue("payment") == "provider" {
		place = s.orderForProvider
	}
	next, err := place(r.Context(), p)
	if err != nil {
		s.log.Error("demo: placing an order", "error", err)
		s.pages.fail(w, http.StatusInternalServerError, "The order could not be placed. Nothing was charged.")
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// orderByCard completes the order in the visitor's request and returns the URL
// of its thank-you page.
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

// orderForProvider leaves the order unpaid and returns the URL of the provider's
// page. The payment's metadata carries the click's token, because the webhook
// has no cookie.
func (s *shop) orderForProvider(ctx context.Context, p product) (next string, err error) {
	o, err := insertOrder(ctx, s.db, p)
	if err != nil {
		return "", err
	}
	token, _ := clickid.Token(ctx) // "" for an organic visitor
	request, err := json.Marshal(payment{
		Amount:   p.Price + " " + currency,
		Metadata: map[string]string{"order": strconv.FormatInt(o.Number, 10), "click": token},
		Webhook:  s.url + "/webhooks/payment",
		Return:   s.url + s.orderURL(o),
	})
	if err != nil {
		return "", err
	}
	response, err := post(ctx, s.client, s.provider+"/payments", request, nil)
	if err != nil {
		return "", err
	}
	var created payment
	if err := json.Unmarshal(response, &created); err != nil {
		return "", err
	}
	return s.provider + "/pay/" + created.ID, nil
}

// paymentArrived serves the provider's webhook. The provider may call it more
// than once for a payment. The conversion has the order's ID each time, so that
// it counts once.
func (s *shop) paymentArrived(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil || !hmac.Equal([]byte(r.Header.Get(signatureHeader)), []byte(sign(s.secret, body))) {
		http.Error(w, "the signature does not match the body", http.StatusUnauthorized)
		return
	}
	var paid payment
	if err := json.Unmarshal(body, &paid); err != nil {
		http.Error(w, "the body is not a payment", http.StatusBadRequest)
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
		s.log.Error("demo: completing a paid order", "error", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	}
}

// complete marks the order as paid and stores its conversion in the same
// transaction, so that both commit or neither does.
func (s *shop) complete(ctx context.Context, tx *sql.Tx, o order, event clickid.Event) error {
	result, err := clickid.Convert(ctx, s.outbox.In(tx), event)
	if err != nil {
		return err
	}
	if result.Verdict == clickid.VerdictDeadLettered {
		// A refused conversion does not stop the order.
		s.log.Error("demo: the conversion is refused", "order", o.Number, "reason", result.Reason)
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
