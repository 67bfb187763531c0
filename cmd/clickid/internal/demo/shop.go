package demo

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/clickid/clickid"
)

// shop is the site that uses the library: its tracker captures clicks, and its
// orders become conversions.
type shop struct {
	pages    *pages
	tracker  *clickid.Tracker
	sender   clickid.Sender
	db       *sql.DB
	log      *slog.Logger
	url      string
	provider string // URL of the payment provider
	secret   []byte // shared with it
	client   *http.Client
	platform *platform // for the thank-you page's look behind the scenes
}

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
	var (
		next string
		err  error
	)
	if r.FormValue("payment") == "provider" {
		next, err = s.orderForProvider(r.Context(), p)
	} else {
		next, err = s.orderByCard(r.Context(), p)
	}
	if err != nil {
		s.log.Error("placing an order", "error", err)
		s.pages.fail(w, http.StatusInternalServerError, "The order could not be placed. Nothing was charged.")
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// orderByCard completes the order in the visitor's own request, and returns the
// page that thanks for it.
func (s *shop) orderByCard(ctx context.Context, p product) (string, error) {
	o, err := insertOrder(ctx, s.db, p, true)
	if err != nil {
		return "", err
	}
	return s.orderURL(o), s.complete(ctx, o, o.event())
}

// orderForProvider leaves the order unpaid and returns the provider's page. The
// click's token travels in the payment's metadata: the webhook will have no
// cookie.
func (s *shop) orderForProvider(ctx context.Context, p product) (string, error) {
	o, err := insertOrder(ctx, s.db, p, false)
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
	o, err := findOrder(r.Context(), s.db, paid.Metadata["order"])
	if errors.Is(err, errNoOrder) {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if err == nil {
		event := o.event()
		event.ClickToken = paid.Metadata["click"]
		err = s.complete(r.Context(), o, event)
	}
	if err != nil {
		s.log.Error("completing a paid order", "error", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	}
}

// complete reports the order's conversion and notes what became of it. An ad
// platform that fails is no reason to fail the order.
func (s *shop) complete(ctx context.Context, o order, event clickid.Event) error {
	report, err := clickid.Convert(ctx, s.sender, event)
	if err != nil {
		s.log.Error("the conversion failed", "order", o.Number, "error", err)
	}
	o.Conversion = report.Results[0].Verdict.String()
	return completeOrder(ctx, s.db, o)
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
