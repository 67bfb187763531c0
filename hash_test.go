package clickid_test

import (
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestHash_vectors(t *testing.T) {
	t.Parallel()
	const (
		customer = "e606e38b0d8c19b24cf0ee3808183162ea7cd63ff7912dbb22b5e803286b4446"
		email    = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
		phone    = "7c8d08bf90ca322bcac37f99ba14e980e4b1f5ba919f7e16a030af9070ba125e"
	)
	tests := []struct {
		hash      func(string) (string, error)
		raw, want string
	}{
		{clickid.HashCustomerID, "User123", customer},
		{clickid.HashCustomerID, " user123\n", customer},
		{clickid.HashEmail, " User@example.com ", email},
		{clickid.HashEmail, "user@example.com", email},
		{clickid.HashPhone, "+1 212-555-0000", phone},
		{clickid.HashPhone, " +1 (212) 555.0000 ", phone},
		{clickid.HashPhone, "+1 (0) 2125550000", phone},
	}
	for _, tt := range tests {
		got, err := tt.hash(tt.raw)
		require.NoError(t, err)
		require.Equal(t, tt.want, got, tt.raw)
	}
}

func TestHash_emptyOrHashed(t *testing.T) {
	t.Parallel()
	for name, hash := range map[string]func(string) (string, error){
		"e-mail": clickid.HashEmail, "phone": clickid.HashPhone, "customer": clickid.HashCustomerID,
	} {
		for _, raw := range []string{"", "  \t", strings.Repeat("0a", 32), strings.Repeat("0A", 32)} {
			got, err := hash(raw)
			require.Error(t, err, "%s %q", name, raw)
			require.Empty(t, got)
		}
	}
}

func TestHash_invalid(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"jane", "jane@", "@example.com", "jane@localhost", "jane@a@example.com", "jane doe@example.com"} {
		_, err := clickid.HashEmail(raw)
		require.Error(t, err, raw)
		require.NotContains(t, err.Error(), raw)
	}
	for _, raw := range []string{"2125550000", "+1", "+0123456789", "+1234567890123456", "+1-800-FLOWERS", "+1+2125550000"} {
		_, err := clickid.HashPhone(raw)
		require.Error(t, err, raw)
		require.NotContains(t, err.Error(), raw)
	}
}
