package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// payment is the message that shop and payment provider exchange.
type payment struct {
	ID       string            `json:"id"`
	Amount   string            `json:"amount"`
	Metadata map[string]string `json:"metadata"` // the shop's, returned unchanged
	Webhook  string            `json:"webhook"`  // the shop's URL for the payment
	Return   string            `json:"return"`   // the shop's page for the customer after it
}

// signatureHeader carries the HMAC-SHA256 of a webhook's body.
const signatureHeader = "Payment-Signature"

func sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// provider is a payment provider. The customer pays on its page, and it calls
// the shop's webhook, without the customer's cookies.
type provider struct {
	pages  *pages
	secret []byte // shared with the shop
	client *http.Client

	mu       sync.Mutex
	payments map[string]payment
}

func newProvider(pages *pages, plan *shopPlan) *provider {
	return &provider{pages: pages, secret: plan.secret, client: plan.client, payments: make(map[string]payment)}
}

func (p *provider) routes() http.Handler {
	mux := newMux()
	mux.HandleFunc("POST /payments", p.create)
	mux.HandleFunc("GET /pay/{id}", p.show)
	mux.HandleFunc("POST /pay/{id}", p.pay)
	return mux
}

// create serves the API that the shop calls.
func (p *provider) create(w http.ResponseWriter, r *http.Request) {
	var created payment
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&created); err != nil {
		http.Error(w, "the body is not a payment", http.StatusBadRequest)
		return
	}
	created.ID = rand.Text()
	p.mu.Lock()
	p.payments[created.ID] = created
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(created) // the shop may have left
}

func (p *provider) find(w http.ResponseWriter, r *http.Request) (payment, bool) {
	p.mu.Lock()
	found, ok := p.payments[r.PathValue("id")]
	p.mu.Unlock()
	if !ok {
		p.pages.fail(w, http.StatusNotFound, "The provider has no such payment.")
	}
	return found, ok
}

func (p *provider) show(w http.ResponseWriter, r *http.Request) {
	if found, ok := p.find(w, r); ok {
		p.pages.show(w, http.StatusOK, "pay.html", "Pay", found)
	}
}

// pay takes the customer's payment and calls the shop's webhook. It calls it
// twice, as a provider does that received no response to the first call.
func (p *provider) pay(w http.ResponseWriter, r *http.Request) {
	found, ok := p.find(w, r)
	if !ok {
		return
	}
	for range 2 {
		if err := p.notify(r.Context(), found); err != nil {
			p.pages.fail(w, http.StatusBadGateway, "The shop did not accept the payment: "+err.Error())
			return
		}
	}
	http.Redirect(w, r, found.Return, http.StatusSeeOther)
}

func (p *provider) notify(ctx context.Context, paid payment) error {
	body, err := json.Marshal(paid)
	if err != nil {
		return err
	}
	header := http.Header{signatureHeader: {sign(p.secret, body)}}
	_, err = post(ctx, p.client, paid.Webhook, body, header)
	return err
}

// post sends JSON to another server and returns the body of the response.
func post(ctx context.Context, client *http.Client, url string, body []byte, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	received, readErr := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err := errors.Join(readErr, resp.Body.Close()); err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s returned %s", url, resp.Status)
	}
	return received, nil
}
