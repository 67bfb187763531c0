package clickid_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/stretchr/testify/require"
)

// Stored links are found by the hash of their key: these must never change.
func TestKey_hashes(t *testing.T) {
	for want, k := range map[string]clickid.Key{
		"34c7bc8df86fa3857bbea0e71f220a0c7b49453a971f7f5a73236d2064640102": clickid.SessionKey("42"),
		"da2d7f4840326d92003b17fb3f2f0eb007024741705ad10616f3357f00901451": clickid.CustomerKey("42"),
		"7c7c3475a094bc7ba0f14422f5fd7f75a16f4c7c48eb80de78fbd688d57b8273": clickid.OrderKey("42"),
	} {
		hash := extension.KeyHash(k)
		require.Equal(t, want, hex.EncodeToString(hash[:]))
		require.Equal(t, want[:12], k.String())
	}
}

func TestKey_zero(t *testing.T) {
	for _, k := range []clickid.Key{{}, clickid.SessionKey(""), clickid.CustomerKey(""), clickid.OrderKey("")} {
		require.True(t, k.IsZero())
		require.ErrorIs(t, k.Validate(), clickid.ErrInvalid)
		require.Equal(t, "none", k.String())
		_, err := extension.Seal(k, "token")
		require.ErrorIs(t, err, clickid.ErrInvalid)
		_, err = extension.Open(k, make([]byte, 100))
		require.ErrorIs(t, err, clickid.ErrInvalid)
	}
	require.NoError(t, clickid.OrderKey(" ").Validate())
	require.Equal(t, clickid.OrderKey("42"), clickid.OrderKey("42"))
}

func TestKey_seal(t *testing.T) {
	k := clickid.SessionKey("42")
	for _, token := range []string{"", "t", strings.Repeat("t", clickid.MaxTokenLength)} {
		sealed, err := extension.Seal(k, token)
		require.NoError(t, err)
		require.Len(t, sealed, len(token)+28)
		require.False(t, len(token) > 8 && strings.Contains(string(sealed), token), "a single byte may be there by chance")
		opened, err := extension.Open(k, sealed)
		require.NoError(t, err)
		require.Equal(t, token, opened)

		again, err := extension.Seal(k, token)
		require.NoError(t, err)
		require.NotEqual(t, sealed, again, "two seals of one token show that it is one")
	}
}

func TestKey_open(t *testing.T) {
	k := clickid.SessionKey("42")
	sealed, err := extension.Seal(k, "token")
	require.NoError(t, err)
	for name, other := range map[string]clickid.Key{
		"another kind":  clickid.OrderKey("42"),
		"another value": clickid.SessionKey("43"),
		"its hash":      readBack(t, k),
	} {
		_, err := extension.Open(other, sealed)
		require.ErrorIs(t, err, clickid.ErrInvalid, name)
	}
	for i := range sealed {
		forged := append([]byte(nil), sealed...)
		forged[i] ^= 1
		_, err := extension.Open(k, forged)
		require.ErrorIs(t, err, clickid.ErrInvalid, "byte %d", i)
		_, err = extension.Open(k, sealed[:i])
		require.ErrorIs(t, err, clickid.ErrInvalid, "cut to %d bytes", i)
	}
}

func readBack(t *testing.T, k clickid.Key) (read clickid.Key) {
	t.Helper()
	text, err := k.MarshalText()
	require.NoError(t, err)
	require.NoError(t, read.UnmarshalText(text))
	return read
}

func TestKey_MarshalText(t *testing.T) {
	k := clickid.CustomerKey("4711")
	read := readBack(t, k)
	require.Equal(t, extension.KeyHash(k), extension.KeyHash(read))
	require.False(t, read.IsZero())
	_, err := extension.Seal(read, "token")
	require.ErrorIs(t, err, clickid.ErrInvalid)
	require.True(t, readBack(t, clickid.Key{}).IsZero())

	asJSON, err := json.Marshal([]clickid.Key{k, {}})
	require.NoError(t, err)
	require.NotContains(t, string(asJSON), "4711")
	var keys []clickid.Key
	require.NoError(t, json.Unmarshal(asJSON, &keys))
	require.Equal(t, extension.KeyHash(k), extension.KeyHash(keys[0]))
	require.True(t, keys[1].IsZero())

	text, err := k.MarshalText()
	require.NoError(t, err)
	for _, wrong := range []string{"4711", string(text[1:]), string(text) + "00", strings.Repeat("x", 64), strings.Repeat("ä", 32)} {
		read := k
		err := read.UnmarshalText([]byte(wrong))
		require.ErrorIs(t, err, clickid.ErrInvalid)
		require.False(t, strings.Contains(err.Error(), wrong))
		require.True(t, read.IsZero(), "what could not be read must be no key")
	}
}

func TestKey_Format(t *testing.T) {
	k := clickid.SessionKey("secret-session")
	for _, format := range []string{"%v", "%+v", "%s", "%d"} {
		require.NotContains(t, fmt.Sprintf(format, k), "secret-session")
	}
}
