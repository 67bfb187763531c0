package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/reference"
	"github.com/stretchr/testify/require"
)

// TestLoad_damagedRow has rows that Save does not write. The error matches
// neither ErrInvalid nor ErrNotFound: a click may be lost, and not absent.
func TestLoad_damagedRow(t *testing.T) {
	at := time.Now().Unix()
	token, err := reference.New(time.Now())
	require.NoError(t, err)
	for name, row := range map[string][]driver.Value{
		"empty ID":               {"", "clkid", "", "", at, at + 60},
		"ID with a line":         {"abc\r\nSet-Cookie: x=y", "clkid", "", "", at, at + 60},
		"parameter with a space": {"abc", "clk id", "", "", at, at + 60},
		"address of no machine":  {"abc", "clkid", "localhost", "", at, at + 60},
		"lifetime of zero":       {"abc", "clkid", "", "", at + 60, at + 60},
		"time that is text":      {"abc", "clkid", "", "", "today", at + 60},
		"ID that is NULL":        {nil, "clkid", "", "", at, at + 60},
	} {
		_, err := newScripted(t, DatabasePostgreSQL, row).Load(context.Background(), token)
		require.ErrorContains(t, err, "sqlstore: loading the click", name)
		require.NotErrorIs(t, err, clickid.ErrInvalid, name)
		require.NotErrorIs(t, err, clickid.ErrNotFound, name)
	}
}

// FuzzRow reads rows that the store did not write. Only a valid click is
// loaded, exactly as it is in the row; an absence is only that of an expired
// row; a link leads to no token but the one that was sealed.
func FuzzRow(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	// A constant, since f.Add and f.Fuzz may run in two processes.
	const token = "MTgwMDAwMDAwMHyW2LJQbOqbqA1_Okb2wVK7"
	key := clickid.OrderKey("42")
	sealed, err := extension.Seal(key, token)
	require.NoError(f, err)
	f.Add("01ARZ3NDEKTSV4RRFFQ69G5FAV", "clkid", "203.0.113.7", "Mozilla/5.0", now.Unix(), now.Unix()+3600, sealed)
	f.Add("abc", "clkid", "::ffff:1.2.3.4", "a\nb", int64(0), int64(-1), sealed[:len(sealed)-1])
	f.Add("", "", "", "", int64(1<<62), int64(1<<63-1), []byte{})
	f.Add("a b", "clkid", "", "", now.Unix(), now.Unix()-1, append([]byte{0}, sealed...))
	f.Fuzz(func(t *testing.T, id, param, ip, agent string, at, expires int64, link []byte) {
		load := func(row ...driver.Value) *Store {
			db := sql.OpenDB(scripted{row})
			t.Cleanup(func() { _ = db.Close() })
			s, err := New(Config{DB: db, Database: DatabasePostgreSQL})
			if err != nil {
				t.Fatal(err)
			}
			s.now = func() time.Time { return now }
			return s
		}
		want := clickid.Click{
			ID: id, Param: param, LandingIP: ip, LandingUserAgent: agent, At: time.Unix(at, 0).UTC(), Expires: time.Unix(expires, 0).UTC(),
		}
		expired := !want.Expires.After(now)
		c, err := load(id, param, ip, agent, at, expires).Load(context.Background(), token)
		switch valid := want.Validate() == nil; {
		case errors.Is(err, clickid.ErrInvalid), valid && expired != errors.Is(err, clickid.ErrNotFound), !valid && err == nil, !valid && errors.Is(err, clickid.ErrNotFound):
			t.Fatalf("valid %v, expired %v: %v", valid, expired, err)
		case valid && !expired && c != want, err != nil && !c.IsZero():
			t.Fatalf("a click was loaded as another one: %v, %v", c, err)
		}

		linked, err := load(link, expires).Linked(context.Background(), key)
		if opened, _ := extension.Open(key, link); err == nil && linked != token || (err == nil) != (opened == token && !expired) {
			t.Fatalf("the link of %q leads to %q: %v", opened, linked, err)
		}
		if errors.Is(err, clickid.ErrNotFound) != expired {
			t.Fatalf("expires %d: %v", expires, err)
		}
	})
}
