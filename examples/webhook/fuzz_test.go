package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// FuzzWebhook posts arbitrary notices, with the provider's signature and with an
// arbitrary one. Without the provider's nothing happens, and with it no notice
// pays an order whose number it does not have.
func FuzzWebhook(f *testing.F) {
	log.SetOutput(io.Discard) // the shop logs damaged notices
	secret := []byte("the provider's secret")
	ctx := context.Background()
	db, err := openDatabase(ctx, filepath.Join(f.TempDir(), "shop.db"))
	if err != nil {
		f.Fatal(err)
	}
	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{Delivery: outbox.Config{Destination: outbox.Administration("shop"), Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _, _ = ob.Close(), db.Close() })
	if err := ob.Migrate(ctx); err != nil {
		f.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO orders (number, cents, click) VALUES (?, 1, '')", rand.Text()); err != nil {
		f.Fatal(err)
	}
	shop := routes(db, ob, secret)
	sign := func(body []byte) string {
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		return hex.EncodeToString(mac.Sum(nil))
	}
	post := func(body []byte, signature string) int {
		r := httptest.NewRequest(http.MethodPost, "/webhooks/payment", strings.NewReader(string(body)))
		r.Header["Payment-Signature"] = []string{signature}
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, r)
		return w.Code
	}
	for _, body := range []string{
		"", "{}", "null", "[]", `{"type":"payment.paid","order":"a","paid_at":"2026-03-01T12:00:00Z"}`, `{"type":"payment.paid","order":"' OR 1=1 --"}`, `{"type":"payment.paid","order":"%"}`,
		`{"type":"payment.paid"}`, `{"type":7}`, `{"type":"payment.paid","order":"a\u0000","paid_at":"0000-01-01T00:00:00Z"}`, `{"type":"payment.paid","order":["a"]}`,
	} {
		f.Add([]byte(body), "")
		f.Add([]byte(body), strings.Repeat("0", 64))
		f.Add([]byte(body), strings.ToUpper(sign([]byte(body))))
		f.Add([]byte(body), sign([]byte(body+" ")))
	}
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		if code := post(body, signature); code != http.StatusUnauthorized && !strings.EqualFold(signature, sign(body)) {
			t.Fatalf("%q with the signature %q has the status %d", body, signature, code)
		}
		if code := post(body, sign(body)); code != http.StatusOK && code != http.StatusBadRequest && len(body) <= 64<<10 {
			t.Fatalf("%q has the status %d", body, code)
		}
		var paid, queued int
		if err := db.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM orders WHERE paid_at IS NOT NULL), (SELECT count(*) FROM river_job)").Scan(&paid, &queued); err != nil {
			t.Fatal(err)
		}
		if paid+queued != 0 {
			t.Fatalf("%q paid %d orders and queued %d events", body, paid, queued)
		}
	})
}
