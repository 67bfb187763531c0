package reference

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestValid(t *testing.T) {
	now := time.Unix(1764130871, 999_999_999)
	first, err := New(now)
	require.NoError(t, err)
	second, err := New(now)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.NotEqual(t, Hash(first), Hash(second))
	require.Len(t, first, 36)
	for token, valid := range map[string]bool{
		first:                          true,
		"":                             false,
		first[:35]:                     false, // cut short
		first + "A":                    false,
		first + "==":                   false, // padded
		first[:35] + "\n":              false,
		first[:17] + "\n" + first[:18]: false, // a lenient decoder drops newlines
		first[:35] + "+":               false, // another alphabet
		base64.RawURLEncoding.EncodeToString([]byte("1764130871.0123456789abcdef")): false,
		base64.RawURLEncoding.EncodeToString([]byte("176413087x|0123456789abcdef")): false,
	} {
		require.Equal(t, valid, Valid(token), "%q", token)
	}
}

func TestIssued(t *testing.T) {
	now := time.Unix(1764130871, 999_999_999)
	token, err := New(now)
	require.NoError(t, err)
	issued, ok := Issued(token)
	require.True(t, ok)
	require.Equal(t, now.Truncate(time.Second).UTC(), issued)
	for _, token := range []string{"", "token", token[:15], "AAAAAAAAAAAAAAAAAAAAAA", "-------------------------"} {
		_, ok := Issued(token)
		require.False(t, ok, token)
	}
}
