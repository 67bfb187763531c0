package clickid_test

import (
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestIsULID(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		id   string
		want bool
	}{
		"the documented one":      {documentedID, true},
		"in lower case":           {"01arz3ndektsv4rrffq69g5fav", true},
		"the smallest":            {"00000000000000000000000000", true},
		"the largest of 128 bits": {"7ZZZZZZZZZZZZZZZZZZZZZZZZZ", true},
		"more than 128 bits":      {"80000000000000000000000000", false},
		"a letter as first":       {"ZZZZZZZZZZZZZZZZZZZZZZZZZZ", false},
		"an I":                    {"01ARZ3NDEKTSV4RRFFQ69G5FAI", false},
		"an L":                    {"01ARZ3NDEKTSV4RRFFQ69G5FAL", false},
		"an O":                    {"01ARZ3NDEKTSV4RRFFQ69G5FAO", false},
		"a U":                     {"01ARZ3NDEKTSV4RRFFQ69G5FAU", false},
		"a hyphen":                {"01ARZ3NDEKTSV4RRFFQ69G5FA-", false},
		"25 characters":           {"01ARZ3NDEKTSV4RRFFQ69G5FA", false},
		"27 characters":           {"01ARZ3NDEKTSV4RRFFQ69G5FAVX", false},
		"nothing":                 {"", false},
	}
	for name, tt := range tests {
		require.Equal(t, tt.want, clickid.IsULID(tt.id), name)
	}
}

func TestClick_Issued(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		id     string
		issued time.Time // zero means unknown
	}{
		"issued just now":                 {ulidAt(startOfTest, ""), startOfTest},
		"an hour in the future":           {ulidAt(startOfTest.Add(time.Hour), ""), startOfTest.Add(time.Hour)},
		"more, which cannot be true":      {ulidAt(startOfTest.Add(time.Hour+time.Millisecond), ""), time.Time{}},
		"the year 10889":                  {"7ZZZZZZZZZ0000000000000000", time.Time{}},
		"as old as a click can be":        {ulidAt(startOfTest.Add(-clickid.MaxTTL), ""), startOfTest.Add(-clickid.MaxTTL)},
		"older":                           {ulidAt(startOfTest.Add(-clickid.MaxTTL-time.Millisecond), ""), time.Time{}},
		"no ULID":                         {"abc", time.Time{}},
		"as long as a ULID, but not one":  {"01ARZ3NDEKTSV4RRFFQ69G5FAU", time.Time{}},
		"a number that looks like a time": {"1469922850259", time.Time{}},
	}
	for name, tt := range tests {
		issued, ok := clickid.Click{ID: tt.id, At: startOfTest}.Issued()
		require.Equal(t, !tt.issued.IsZero(), ok, name)
		require.True(t, issued.Equal(tt.issued), name)
	}
}

func TestLastTouch(t *testing.T) {
	t.Parallel()
	const second = "second"
	yesterday, hourAgo := ulidAt(startOfTest.Add(-24*time.Hour), "A"), ulidAt(startOfTest.Add(-time.Hour), "B")
	future, other := ulidAt(startOfTest.Add(2*time.Hour), "C"), ulidAt(startOfTest.Add(-time.Hour), "D")
	byID := func(stored, landed clickid.Click) bool { return landed.ID > stored.ID }
	tests := map[string]struct {
		touch          clickid.Touch // nil is the default
		stored, landed string
		want           string
	}{
		"the last by default": {nil, "first", second, second},
		"a newer ULID":        {nil, yesterday, hourAgo, hourAgo},
		"an older ULID, from a shared link or a reloaded tab": {nil, hourAgo, yesterday, hourAgo},
		"another ULID of the same time":                       {nil, hourAgo, other, other},
		"a ULID after an ID without time":                     {nil, "first", yesterday, yesterday},
		"an ID without time after a ULID":                     {nil, hourAgo, second, hourAgo},
		"a ULID from the future counts as no time":            {nil, future, yesterday, yesterday},
		"a planted ULID of the year 10889 does not last":      {nil, "7ZZZZZZZZZ0000000000000000", yesterday, yesterday},
		"and does not replace":                                {nil, hourAgo, future, hourAgo},
		"the first, when configured":                          {clickid.FirstTouch, "first", second, "first"},
		"the first, even when it is newer":                    {clickid.FirstTouch, hourAgo, yesterday, hourAgo},
		"an own rule that replaces":                           {byID, "a", "b", "b"},
		"an own rule that keeps":                              {byID, "b", "a", "b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{Touch: tt.touch})
			v := s.visitor()
			require.Equal(t, tt.stored, v.get("/?clkid="+tt.stored).id())
			s.clock.advance(time.Minute)
			s.observations()
			resp := v.get("/?clkid=" + tt.landed)
			require.Equal(t, tt.want, resp.id(), "on the landing itself")
			require.Equal(t, tt.want, v.get("/checkout").id(), "and later")
			observations := s.observations()
			require.Len(t, observations, 1)
			if tt.want == tt.landed {
				require.Equal(t, clickid.KindCaptured, observations[0].Kind)
				require.Len(t, resp.setCookies(), 1)
			} else {
				require.Equal(t, clickid.KindUnchanged, observations[0].Kind)
				require.Equal(t, clickid.ReasonTouch, observations[0].Reason)
				require.Empty(t, resp.setCookies())
			}
		})
	}
}

func TestFirstTouch_expired(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Touch: clickid.FirstTouch, TTL: time.Hour})
	v := s.visitor()
	v.get("/?clkid=first")
	s.clock.advance(time.Hour)
	require.Equal(t, "second", v.get("/?clkid=second").id())
}

func TestTouch_sameClick(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Touch: func(stored, landed clickid.Click) bool {
		t.Errorf("asked about %q and %q", stored.ID, landed.ID)
		return true
	}})
	v := s.visitor()
	v.get("/?clkid=abc")
	v.get("/?clkid=abc")
}

func TestObservation_age(t *testing.T) {
	t.Parallel()
	at := startOfTest.Truncate(time.Second)
	tests := map[string]struct {
		id  string
		age time.Duration
	}{
		"a shared link":                    {ulidAt(at.Add(-72*time.Hour), ""), 72 * time.Hour},
		"a click of this moment":           {ulidAt(at, ""), 0},
		"a platform whose clock is ahead":  {ulidAt(at.Add(time.Minute), ""), 0},
		"an ID that says nothing about it": {"abc", 0},
	}
	for name, tt := range tests {
		s := newSite(t, clickid.Config{})
		s.visitor().get("/?clkid=" + tt.id)
		observations := s.observations()
		require.Len(t, observations, 1)
		require.Equal(t, tt.age, observations[0].Age, name)
	}
}
