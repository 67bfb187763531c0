package clickid_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// Stored clicks are read by later releases: this must not change.
func TestClick_MarshalBinary(t *testing.T) {
	at := time.Unix(1_700_000_000, 999).In(time.FixedZone("elsewhere", 3600))
	c := clickid.Click{ID: documentedID, Param: "clkid", At: at, Expires: at.Add(clickid.DefaultTTL)}
	b, err := c.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, "0180c49fd50c80b4bc0205"+hex.EncodeToString([]byte("clkid"+documentedID)), hex.EncodeToString(b))

	var read clickid.Click
	require.NoError(t, read.UnmarshalBinary(b))
	require.Equal(t, clickid.Click{ID: documentedID, Param: "clkid",
		At: time.Unix(1_700_000_000, 0).UTC(), Expires: time.Unix(1_700_000_000, 0).Add(clickid.DefaultTTL).UTC()}, read)

	for i := range len(b) - len(documentedID) + 1 {
		require.ErrorIs(t, new(clickid.Click).UnmarshalBinary(b[:i]), clickid.ErrInvalid, "cut to %d bytes", i)
	}
	b[0] = 3
	before := read
	require.ErrorIs(t, read.UnmarshalBinary(b), clickid.ErrInvalid)
	require.Equal(t, before, read, "what cannot be read must change nothing")

	c.Param = strings.Repeat("p", 300)
	_, err = c.MarshalBinary()
	require.ErrorIs(t, err, clickid.ErrInvalid)
}
