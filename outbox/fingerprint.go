package outbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/clickid/clickid"
)

// fingerprintParts names the parts of a fingerprint in their order.
var fingerprintParts = []string{"value", "currency", "click"}

// fingerprint returns keyed hashes of value, currency and click. The key is
// derived from the event's ID, which queues do not keep for a delivered event.
func fingerprint(destination string, e clickid.Event) string {
	click := e.Click.ID
	if click == "" {
		click = e.ClickToken
	}
	hashes := make([]string, 0, len(fingerprintParts))
	for _, part := range []string{canonical(e.Value.Number()), e.Value.Currency(), click} {
		mac := hmac.New(sha256.New, []byte("clickid fingerprint\x00"+destination+"\x00"+string(e.Type)+"\x00"+e.ID))
		mac.Write([]byte(part))
		hashes = append(hashes, hex.EncodeToString(mac.Sum(nil)[:6]))
	}
	return strings.Join(hashes, ".")
}

// canonical returns a decimal number without surplus zeros: 10.50 and 10.5 are
// the same value.
func canonical(number string) string {
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return number
}

// differences returns the names of the parts that differ. It returns none if a
// fingerprint is missing or of another version.
func differences(a, b string) []string {
	first, second := strings.Split(a, "."), strings.Split(b, ".")
	if len(first) != len(fingerprintParts) || len(second) != len(fingerprintParts) {
		return nil
	}
	var names []string
	for i, name := range fingerprintParts {
		if first[i] != second[i] {
			names = append(names, name)
		}
	}
	return names
}
