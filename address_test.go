package clickid_test

import (
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestEvent_Clean_addresses(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("a", 64)
	e := clickid.Event{
		Type: clickid.Purchase, ID: "1", Time: time.Now(), Click: clickid.Click{ID: "x"},
		User: clickid.User{Addresses: []clickid.Address{
			{HashedFirstName: strings.ToUpper(hash), City: "  New York, ", State: "N.Y.", Country: "US"},
			{Kind: "home", HashedLastName: "Smith", HashedStreet: "1 Main Street", HashedPostalCode: "10001", City: "jane@example.com", Country: "USA"},
		}},
	}
	cleaned, warnings, err := e.Clean()
	require.NoError(t, err, "addresses never decide over an event")
	require.Equal(t, []clickid.Address{{HashedFirstName: hash, City: "new york", State: "ny", Country: "us"}, {}}, cleaned.User.Addresses)
	require.Len(t, warnings, 7)
	require.NotContains(t, strings.Join(warnings, "\n"), "Smith")
	require.Contains(t, warnings, "user.addresses[1].country was left out: it must be a code of two letters (ISO 3166-1)")

	e.User.Addresses = make([]clickid.Address, 11)
	cleaned, warnings, err = e.Clean()
	require.NoError(t, err)
	require.Len(t, cleaned.User.Addresses, 10)
	require.Equal(t, []string{"user.addresses[10:] was left out: it exceeds 10 addresses"}, warnings)
}
