package capture_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/gorilla/securecookie"
)

// values are the fields of a click for securecookie.
type values struct {
	ID, Param   string
	At, Expires int64
}

// repeat is a variant that calls f.
func repeat(tb testing.TB, name string, f func() error) ratio.Variant {
	return ratio.Variant{Name: name, Run: func(n int) {
		for range n {
			if err := f(); err != nil {
				tb.Fatal(name, err)
			}
		}
	}}
}

// BenchmarkToken signs a click and verifies it again. The floor is the HMAC-SHA256
// and the base64 of as many bytes as the library signs.
func BenchmarkToken(b *testing.B) {
	at := time.Now()
	c := clickid.Click{ID: clickID, Param: "clkid", At: at, Expires: at.Add(ttl)}
	v := values{c.ID, c.Param, c.At.Unix(), c.Expires.Unix()}
	ctx, store := context.Background(), cookieStore(b)
	gob := securecookie.New(key, nil)
	json := securecookie.New(key, nil).SetSerializer(securecookie.JSONEncoder{})

	token, err := store.Save(ctx, c)
	if err != nil {
		b.Fatal(err)
	}
	signed := make([]byte, base64.RawURLEncoding.DecodedLen(len(token))-sha256.Size)
	if _, err := rand.Read(signed); err != nil {
		b.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	var sum [sha256.Size]byte
	var text [clickid.MaxTokenLength]byte
	floor := func() error {
		mac.Reset()
		mac.Write(signed)
		mac.Sum(sum[:0])
		base64.RawURLEncoding.Encode(text[:], signed)
		return nil
	}

	fromGob, err := gob.Encode(cookieName, v)
	if err != nil {
		b.Fatal(err)
	}
	fromJSON, err := json.Encode(cookieName, v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		ratio.Compare(b,
			repeat(b, "HMAC-SHA256", floor),
			repeat(b, "clickid", func() error { _, err := store.Save(ctx, c); return err }),
			repeat(b, "securecookie, JSON", func() error { _, err := json.Encode(cookieName, v); return err }),
			repeat(b, "securecookie, gob", func() error { _, err := gob.Encode(cookieName, v); return err }),
		)
	})
	b.Run("decode", func(b *testing.B) {
		ratio.Compare(b,
			repeat(b, "HMAC-SHA256", floor),
			repeat(b, "clickid", func() error { _, err := store.Load(ctx, token); return err }),
			repeat(b, "securecookie, JSON", func() error { var v values; return json.Decode(cookieName, fromJSON, &v) }),
			repeat(b, "securecookie, gob", func() error { var v values; return gob.Decode(cookieName, fromGob, &v) }),
		)
	})
}

// TestToken_securecookie compares the format of the tokens with that of
// securecookie: each signs for the other.
func TestToken_securecookie(t *testing.T) {
	codec := securecookie.New(key, nil).MaxAge(0).SetSerializer(securecookie.NopEncoder{})
	const purpose = "clickid.click"
	ctx, store, at := context.Background(), cookieStore(t), time.Now()
	token, err := store.Save(ctx, clickid.Click{ID: clickID, Param: "clkid", At: at, Expires: at.Add(ttl)})
	if err != nil {
		t.Fatal(err)
	}
	var payload []byte
	if err := codec.Decode(purpose, padded(token), &payload); err != nil {
		t.Fatalf("securecookie refuses a token: %v", err)
	}
	encoded, err := codec.Encode(purpose, payload)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := store.Load(ctx, strings.TrimRight(encoded, "=")); err != nil || c.ID != clickID {
		t.Errorf("the token of securecookie gives the click %q and %v", c.ID, err)
	}
}

// padded returns base64 with the padding that tokens do not have.
func padded(token string) string { return token + strings.Repeat("=", (4-len(token)%4)%4) }
