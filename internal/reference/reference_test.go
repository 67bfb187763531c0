package reference

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValid(t *testing.T) {
	first, err := New()
	require.NoError(t, err)
	second, err := New()
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.NotEqual(t, Hash(first), Hash(second))
	require.Len(t, first, 22)
	for token, valid := range map[string]bool{
		first:                      true,
		"":                         false,
		first[:21]:                 false, // cut short
		first + "A":                false,
		first + "==":               false, // padded
		"AAAAAAAAAAAAAAAAAAAAAB":   false, // not the canonical spelling
		"AAAAAAAAAAAAAAAAAAAAA\n":  false,
		"AAAAAAAAAA\nAAAAAAAAAAAA": false, // a lenient decoder drops newlines
		"AAAAAAAAAAAAAAAAAAAAA+":   false, // another alphabet
	} {
		require.Equal(t, valid, Valid(token), "%q", token)
	}
}
