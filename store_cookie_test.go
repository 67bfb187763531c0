package clickid_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestNewCookieStore_problems(t *testing.T) {
	t.Parallel()
	short, key := []byte("short"), bytes.Repeat([]byte{1}, 32)
	_, err := clickid.NewCookieStore(short, key, nil, key)
	require.EqualError(t, err, strings.Join([]string{
		"clickid: cookie key 1 has 5 bytes, needs at least 32",
		"clickid: cookie key 3 has 0 bytes, needs at least 32",
		"clickid: cookie keys 2 and 4 are the same",
	}, "\n"))
	_, err = clickid.NewCookieStore()
	require.ErrorContains(t, err, "needs a key")
	_, err = clickid.NewCookieStore(bytes.Repeat([]byte{1}, 31))
	require.Error(t, err)
	_, err = clickid.NewCookieStore(key, bytes.Repeat([]byte{1}, 33))
	require.NoError(t, err)
}

func TestParseCookieKey(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString(firstKey)
	for _, s := range []string{encoded, " " + encoded + "\n"} {
		key, err := clickid.ParseCookieKey(s)
		require.NoError(t, err)
		require.Equal(t, firstKey, key)
	}
	for s, want := range map[string]string{
		"":                       "is empty",
		" \n":                    "is empty",
		"c2hvcnQ=":               "has 5 bytes, needs at least 32",
		"not-a-key-but-a-secret": "is not base64",
		base64.StdEncoding.EncodeToString(make([]byte, 32)): "consists of zero bytes",
	} {
		_, err := clickid.ParseCookieKey(s)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := clickid.NewCookieStore(make([]byte, 64))
	require.EqualError(t, err, `clickid: cookie key 1 consists of zero bytes; "clickid keygen" prints a random one`)
}

func TestCookieStore_keyRotation(t *testing.T) {
	t.Parallel()
	old := newTokenOf(t, newCookieStore(t, firstKey), "old")
	tests := map[string]struct {
		keys [][]byte
		old  bool // the old token is still good
	}{
		"before":                       {[][]byte{firstKey}, true},
		"the new key signs":            {[][]byte{secondKey, firstKey}, true},
		"prepared on every server":     {[][]byte{firstKey, secondKey}, true},
		"the old key has been retired": {[][]byte{secondKey}, false},
	}
	for name, tt := range tests {
		s := newSite(t, clickid.Config{Store: newCookieStore(t, tt.keys...)})
		resp := cookieHeader(s, "__Host-clkid="+old)
		_, err := clickid.Lookup(resp.ctx)
		_, resolveErr := s.Resolve(context.Background(), old)
		if !tt.old {
			require.ErrorIs(t, err, clickid.ErrNotFound, "%s: simply no click", name)
			require.ErrorIs(t, resolveErr, clickid.ErrInvalid, name)
			continue
		}
		require.NoError(t, err, name)
		require.NoError(t, resolveErr, name)

		// Only the first key signs.
		token := newTokenOf(t, newCookieStore(t, tt.keys...), "new")
		first := newCookieStore(t, tt.keys[0])
		clickid.SetStoreNow(first, func() time.Time { return startOfTest })
		_, err = first.Load(context.Background(), token)
		require.NoError(t, err, name)
	}
}

func TestNewCookieStore_copiesKeys(t *testing.T) {
	t.Parallel()
	key := bytes.Clone(firstKey)
	store := newCookieStore(t, key)
	token := newTokenOf(t, store, "abc")
	clear(key)
	_, err := store.Load(context.Background(), token)
	require.NoError(t, err)
}

func TestCookieStore_invalidContent(t *testing.T) {
	t.Parallel()
	at := startOfTest.Truncate(time.Second)
	click := func(edit func(*clickid.Click)) []byte {
		c := clickid.Click{ID: "abc", Param: "clkid", At: at, Expires: at.Add(time.Hour)}
		edit(&c)
		return clickid.EncodePayload(c)
	}
	same := func(*clickid.Click) {}
	good := click(same)
	nonce := make([]byte, clickid.NonceLength)
	tests := map[string]struct {
		purpose string
		payload []byte
		want    error // nil means valid
	}{
		"as Save writes it":                {clickid.TokenPurpose, good, nil},
		"signed for something else":        {"session", good, clickid.ErrInvalid},
		"signed for the cookie's name":     {"__Host-clkid", good, clickid.ErrInvalid},
		"dated a day ahead":                {clickid.TokenPurpose, click(func(c *clickid.Click) { c.At, c.Expires = at.Add(24*time.Hour), at.Add(48*time.Hour) }), nil},
		"dated further ahead":              {clickid.TokenPurpose, click(func(c *clickid.Click) { c.At, c.Expires = at.Add(24*time.Hour+time.Second), at.Add(48*time.Hour) }), clickid.ErrInvalid},
		"expired":                          {clickid.TokenPurpose, click(func(c *clickid.Click) { c.At, c.Expires = at.Add(-time.Hour), at }), clickid.ErrNotFound},
		"expiring before it was captured":  {clickid.TokenPurpose, click(func(c *clickid.Click) { c.Expires = at.Add(-time.Second) }), clickid.ErrInvalid},
		"without an ID":                    {clickid.TokenPurpose, click(func(c *clickid.Click) { c.ID = "" }), clickid.ErrInvalid},
		"with an ID outside the grammar":   {clickid.TokenPurpose, click(func(c *clickid.Click) { c.ID = "a b" }), clickid.ErrInvalid},
		"with an ID that is too long":      {clickid.TokenPurpose, click(func(c *clickid.Click) { c.ID = strings.Repeat("x", clickid.MaxIDLength+1) }), clickid.ErrInvalid},
		"without a parameter":              {clickid.TokenPurpose, click(func(c *clickid.Click) { c.Param = "" }), clickid.ErrInvalid},
		"of an unknown version":            {clickid.TokenPurpose, append(append(nonce[:len(nonce):len(nonce)], 2), good[len(nonce)+1:]...), clickid.ErrInvalid},
		"nothing but the random bytes":     {clickid.TokenPurpose, nonce, clickid.ErrInvalid},
		"empty":                            {clickid.TokenPurpose, []byte{}, clickid.ErrInvalid},
		"nothing but the version":          {clickid.TokenPurpose, good[:len(nonce)+1], clickid.ErrInvalid},
		"cut in the time":                  {clickid.TokenPurpose, good[:len(nonce)+3], clickid.ErrInvalid},
		"cut after the lifetime":           {clickid.TokenPurpose, good[:len(nonce)+8], clickid.ErrInvalid},
		"cut in the parameter":             {clickid.TokenPurpose, good[:len(good)-5], clickid.ErrInvalid},
		"a time that is not a number":      {clickid.TokenPurpose, append(append(nonce[:len(nonce):len(nonce)], 1), bytes.Repeat([]byte{0xff}, 12)...), clickid.ErrInvalid},
		"a lifetime that overflows a time": {clickid.TokenPurpose, click(func(c *clickid.Click) { c.Expires = time.Unix(1<<62, 0) }), nil},
	}
	store := newCookieStore(t, firstKey)
	clickid.SetStoreNow(store, func() time.Time { return startOfTest })
	for name, tt := range tests {
		token := clickid.SignPayload(store, tt.purpose, tt.payload)
		_, err := store.Load(context.Background(), token)
		if tt.want == nil {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, tt.want, name)
		}
		require.Equal(t, err, store.(clickid.TokenChecker).CheckToken(token), name)
	}
}

func TestCookieStore_tokenSize(t *testing.T) {
	t.Parallel()
	at := startOfTest.Truncate(time.Second)
	store := newCookieStore(t, firstKey)
	clickid.SetStoreNow(store, func() time.Time { return startOfTest })
	size := func(id, param string) int {
		token, err := store.Save(context.Background(), clickid.Click{ID: id, Param: param, At: at, Expires: at.Add(clickid.MaxTTL)})
		require.NoError(t, err)
		return len(token)
	}
	require.InDelta(t, 150, size(documentedID, "clkid"), 10)
	require.LessOrEqual(t, size(strings.Repeat("x", clickid.MaxIDLength), strings.Repeat("p", 64)), 1200)
}

func TestCookieStore_context(t *testing.T) {
	t.Parallel()
	store := newCookieStore(t, firstKey)
	token := newTokenOf(t, store, "abc")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the visitor left"))
	_, err := store.Load(ctx, token)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, store.Delete(ctx, token), context.Canceled)
	_, err = store.Save(ctx, testClick)
	require.ErrorIs(t, err, context.Canceled)
}
