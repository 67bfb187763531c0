package capture_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
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
