package storetest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"testing"

	"github.com/clickid/clickid"
)

func dumpHoldsNoToken(t *testing.T, f fixture) {
	token := f.save(t, newClick(clickID))
	f.holdsNone(t, f.store, map[string]string{"the token of a click": token})
}

func dumpHoldsNoSecret(t *testing.T, f linkerFixture) {
	secrets := map[string]string{
		"a session": "session-ZmFrZSBzZXNzaW9u", "a customer": "customer-4711-0815", "an order": "order-2024-000123", "a token": token(1),
	}
	f.link(t, clickid.SessionKey(secrets["a session"]), token(1))
	f.link(t, clickid.CustomerKey(secrets["a customer"]), token(1))
	f.link(t, clickid.OrderKey(secrets["an order"]), token(1))
	f.holdsNone(t, f.linker, secrets)
}

// holdsNone fails the test if the dump contains one of the secrets.
func (o Options) holdsNone(t *testing.T, store any, secrets map[string]string) {
	t.Helper()
	dump := o.Dump(t, store)
	if len(dump) == 0 {
		t.Fatal("the dump is empty, but the store is not")
	}
	lower := bytes.ToLower(dump)
	for name, secret := range secrets {
		spellings := [][]byte{[]byte(secret), []byte(base64.StdEncoding.EncodeToString([]byte(secret)))}
		if decoded, err := base64.RawURLEncoding.DecodeString(secret); err == nil {
			spellings = append(spellings, decoded)
		}
		for _, spelling := range spellings {
			if bytes.Contains(dump, spelling) || bytes.Contains(lower, []byte(hex.EncodeToString(spelling))) {
				t.Errorf("the dump contains %s", name)
			}
		}
	}
}
