package receiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimeline(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	var line timeline
	for _, arrived := range []struct {
		after   time.Duration
		kind    string
		verdict string
	}{
		{10 * time.Second, kindEvent, "accepted"},
		{50 * time.Second, kindEvent, "duplicate"},
		{70 * time.Second, kindEvent, "refused"},
		{59 * time.Second, kindEvent, "accepted"}, // took longer
		{71 * time.Second, kindEvent, "not processed"},
		{72 * time.Second, kindRequest, "refused"},
		{-time.Hour, kindEvent, "accepted"},
	} {
		line.add(&Entry{At: noon.Add(arrived.after), Kind: arrived.kind, Verdict: arrived.verdict})
	}
	at := noon.Unix()
	require.Equal(t, timeline{{at - 3600, 1, 0, 0}, {at, 2, 0, 1}, {at + 60, 0, 2, 0}}, line)
	require.Equal(t, timeline{{at + 60, 0, 2, 0}}, line.since(at+60))
	require.Equal(t, timeline{}, line.since(at+61))
	line.add(&Entry{At: noon.Add(24 * time.Hour), Kind: kindEvent, Verdict: "accepted"})
	require.Equal(t, timeline{{at + 60, 0, 2, 0}, {at + 86400, 1, 0, 0}}, line)
}
