package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/cmd/clickid/internal/reconcile"
	"github.com/clickid/clickid/interchange"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	"github.com/stretchr/testify/require"
)

func callReconcile(t *testing.T, platform *clickidtest.Server, path string, args ...string) result {
	t.Helper()
	return callSending(t, platform, "", append([]string{"reconcile", "-advertiser", clickidtest.AdvertiserID, "-outbox", path}, args...)...)
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := filepath.Join(t.TempDir(), "outbox.db")
	ob, err := sqliteoutbox.OpenAndStart(t.Context(), path, sqliteoutbox.Config{Delivery: outbox.Config{
		Destination: newOutboxClient(t, platform), Logger: slog.New(slog.DiscardHandler),
	}})
	require.NoError(t, err)
	_, err = ob.Send(t.Context(), conversion("1"), conversion("2"))
	require.NoError(t, err)
	await(t, shop{Outbox: ob}, "delivery", func(stats outbox.Stats) bool { return stats.Delivered == 2 })
	hours, err := ob.DeliveredByHour(t.Context(), time.Now().Add(-2*time.Hour).Truncate(time.Hour), time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	require.NotEmpty(t, hours)
	require.NoError(t, ob.Close())

	now := time.Now().UTC().Truncate(time.Hour)
	r := callReconcile(t, platform, path, "-json")
	require.Equal(t, 0, r.code, r.stderr)
	var got reconcile.Comparison
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &got))
	require.Equal(t, 24*time.Hour, got.To.Sub(got.From))
	require.LessOrEqual(t, got.To.Sub(now.Add(-time.Hour)), time.Hour)

	for args, want := range map[string]string{
		"-from 2026-05-04T15:30Z": "must be a full hour",
		"-to tomorrow":            "must be a full hour",
		"-threshold 101":          "must be from 0 to 100",
		"-from " + now.Add(-30*24*time.Hour).Format("2006-01-02T15:04Z") + " -deduplication-window 48h":              "-from must be within the deduplication window of 48h0m0s",
		"-from " + now.Format("2006-01-02T15:04Z") + " -to " + now.Add(-time.Hour).Format("2006-01-02T15:04Z"):       "-from must be before -to",
		"-from " + now.Format("2006-01-02T15:04Z") + " -to " + now.Add(3*time.Hour).Format("2006-01-02T15:04Z"):      "-to must not be in the future",
		"-from " + now.Add(-40*24*time.Hour).Format("2006-01-02T15:04Z") + " -to " + now.Format("2006-01-02T15:04Z"): "the period must not exceed 31 days",
	} {
		r := callReconcile(t, platform, path, strings.Fields(args)...)
		require.Equal(t, exitUsage, r.code, args)
		require.Contains(t, r.stderr, want)
	}
}

// TestReconcile_threshold has an event of an earlier hour, which only the
// platform counts.
func TestReconcile_threshold(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := filepath.Join(t.TempDir(), "outbox.db")
	ob, err := sqliteoutbox.Open(path, sqliteoutbox.Config{Delivery: outbox.Config{Destination: newOutboxClient(t, platform)}})
	require.NoError(t, err)
	require.NoError(t, ob.Migrate(t.Context()))
	require.NoError(t, ob.Close())
	early := time.Now().Add(-3 * time.Hour).UTC().Format(time.RFC3339)
	r := callSending(t, platform, "", "send", "-advertiser", clickidtest.AdvertiserID, "-id", "early", "-time", early, "-click", click)
	require.Equal(t, 0, r.code, r.stderr)

	r = callReconcile(t, platform, path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Regexp(t, `HOUR \(UTC\) +DELIVERED +COUNTED +DIFFERENCE *\n20\S+ \d\d:00 +0 +1 +\+1 +▒+\ntotal +0 +1 +\+1 +100.0 %\n`, r.stdout)
	r = callReconcile(t, platform, path, "-threshold", "5")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "the sums differ by 100.0 %, more than 5 %")
}

func TestCompare(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	hour := func(n int) time.Time { return from.Add(time.Duration(n) * time.Hour) }
	c := reconcile.Compare(from, hour(4),
		[]outbox.HourCount{{Hour: hour(0), Delivered: 60}, {Hour: hour(1), Delivered: 30}},
		[]interchange.HourCount{{Hour: hour(0), Count: 60}, {Hour: hour(1), Count: 15}, {Hour: hour(3), Count: 5}, {Hour: hour(9), Count: 100}})
	require.InDelta(t, 100.0*10/90, c.Difference(), 0.001)
	var b bytes.Buffer
	require.NoError(t, c.Write(&b))
	require.Equal(t, `HOUR (UTC)        DELIVERED  COUNTED  DIFFERENCE  
2026-05-04 10:00  60         60       +0          ██████████████████████████████
2026-05-04 11:00  30         15       -15         ████████░░░░░░░
2026-05-04 13:00  0          5        +5          ▒▒▒
total             90         80       -10         11.1 %
`, b.String())
	require.Zero(t, reconcile.Compare(from, hour(1), nil, nil).Difference())
}
