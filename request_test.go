package clickid_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestCapture_parameters(t *testing.T) {
	t.Parallel()
	const none = clickid.Reason("no click parameter at all")
	longest := strings.Repeat("x", clickid.MaxIDLength)
	tests := map[string]struct {
		query     string
		id, param string
		refused   clickid.Reason
	}{
		"clkid":                         {"clkid=abc", "abc", "clkid", ""},
		"the newer name of the same ID": {"sc3clid=abc", "abc", "sc3clid", ""},
		"clkid comes first, whatever the URL's order": {"sc3clid=new&clkid=old", "old", "clkid", ""},
		"the next parameter where the first is bad":   {"clkid=a%20b&sc3clid=abc", "abc", "sc3clid", ""},
		"the first valid value when repeated":         {"clkid=&clkid=%zz&clkid=a&clkid=b", "a", "clkid", ""},
		"between other parameters":                    {"utm_source=scope3&clkid=abc&utm_medium=cpc", "abc", "clkid", ""},
		"between empty pairs":                         {"&&&clkid=abc&&", "abc", "clkid", ""},
		"the documented ULID":                         {"clkid=" + documentedID, documentedID, "clkid", ""},
		"every character of the grammar":              {"clkid=aZ09._~-", "aZ09._~-", "clkid", ""},
		"case is kept":                                {"clkid=aBcD", "aBcD", "clkid", ""},
		"a value that was encoded needlessly":         {"clkid=%61%42%2e%7E", "aB.~", "clkid", ""},
		"a name that was encoded needlessly":          {"%63lk%69d=abc", "abc", "clkid", ""},
		"one character":                               {"clkid=x", "x", "clkid", ""},
		"the longest ID":                              {"clkid=" + longest, longest, "clkid", ""},
		"the longest ID, all encoded":                 {"clkid=" + strings.Repeat("%78", clickid.MaxIDLength), longest, "clkid", ""},
		"a longer ID":                                 {"clkid=" + longest + "x", "", "", clickid.ReasonValue},
		"a longer ID, all encoded":                    {"clkid=" + strings.Repeat("%78", clickid.MaxIDLength+1), "", "", clickid.ReasonValue},
		"empty":                                       {"clkid=", "", "", clickid.ReasonValue},
		"without a value":                             {"clkid", "", "", clickid.ReasonValue},
		"a space":                                     {"clkid=a%20b", "", "", clickid.ReasonValue},
		"a plus, which is a space":                    {"clkid=a+b", "", "", clickid.ReasonValue},
		"an encoded plus":                             {"clkid=a%2Bb", "", "", clickid.ReasonValue},
		"a line break":                                {"clkid=a%0d%0aSet-Cookie:x", "", "", clickid.ReasonValue},
		"a zero byte":                                 {"clkid=a%00b", "", "", clickid.ReasonValue},
		"a letter outside ASCII":                      {"clkid=caf%C3%A9", "", "", clickid.ReasonValue},
		"a slash":                                     {"clkid=a/b", "", "", clickid.ReasonValue},
		"markup":                                      {"clkid=%3Cscript%3E", "", "", clickid.ReasonValue},
		"encoded twice":                               {"clkid=%2561bc", "", "", clickid.ReasonValue},
		"a broken encoding":                           {"clkid=abc%", "", "", clickid.ReasonValue},
		"before a semicolon":                          {"clkid=abc;x=1", "abc", "clkid", ""},
		"after a semicolon":                           {"x=1;clkid=abc", "abc", "clkid", ""},
		"an unreplaced macro":                         {"clkid={clkid}", "", "", clickid.ReasonValue},
		"an equals sign in the value":                 {"clkid=abc=", "", "", clickid.ReasonValue},
		"a name in another case":                      {"CLKID=abc", "abc", "clkid", ""},
		"a longer name":                               {"clkids=abc", "", "", none},
		"a name that ends the same":                   {"xclkid=abc", "", "", none},
		"an encoded longer name":                      {"%63lkids=abc", "", "", none},
		"a name with a broken encoding":               {"clki%6=abc", "", "", none},
		"a name as a value":                           {"q=clkid", "", "", none},
		"no query":                                    {"", "", "", none},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, clickid.Config{})
			resp := s.visitor().get("/?" + tt.query)
			require.True(t, resp.served)
			require.Equal(t, tt.id, resp.id())
			observations := s.observations()
			switch {
			case tt.refused == none:
				require.Empty(t, observations)
				require.Empty(t, resp.Header())
			case tt.refused != "":
				require.Len(t, observations, 1)
				require.Equal(t, clickid.KindRefused, observations[0].Kind)
				require.Equal(t, tt.refused, observations[0].Reason)
				require.Empty(t, resp.setCookies())
			default:
				require.Equal(t, clickid.KindCaptured, observations[0].Kind)
				require.Equal(t, tt.param, observations[0].Param)
				require.Len(t, resp.setCookies(), 1)
				click, err := clickid.Lookup(resp.ctx)
				require.NoError(t, err)
				require.Equal(t, tt.param, click.Param)
			}
		})
	}
}

func TestCapture_configuredParameters(t *testing.T) {
	t.Parallel()
	onlyShort := func(id string) bool { return len(id) < 5 }
	tests := map[string]struct {
		cfg   clickid.Config
		query string
		id    string
	}{
		"own parameters replace the defaults":  {clickid.Config{Params: []string{"gclid", "cid"}}, "cid=b&gclid=a", "a"},
		"the defaults are not looked for then": {clickid.Config{Params: []string{"gclid"}}, "clkid=a", ""},
		"in their own order":                   {clickid.Config{Params: []string{"cid", "gclid"}}, "cid=b&gclid=a", "b"},
		"a strict ULID":                        {clickid.Config{Accept: clickid.IsULID}, "clkid=" + documentedID, documentedID},
		"no ULID":                              {clickid.Config{Accept: clickid.IsULID}, "clkid=abc", ""},
		"a ULID after another value":           {clickid.Config{Accept: clickid.IsULID}, "clkid=abc&clkid=" + documentedID, documentedID},
		"what the application accepts":         {clickid.Config{Accept: onlyShort}, "clkid=abcde&clkid=abc", "abc"},
		"the application can widen the grammar": {
			clickid.Config{Accept: func(string) bool { return true }}, "clkid=a:b", "a:b"},
		"but not to spaces": {
			clickid.Config{Accept: func(string) bool { return true }}, "clkid=a%20b", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.id, newSite(t, tt.cfg).visitor().get("/?"+tt.query).id())
		})
	}
}

func TestCapture_hugeQuery(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("f%5B%5D=%20&", 80_000)
	require.Equal(t, "abc", newSite(t, clickid.Config{}).visitor().get("/?"+huge+"clkid=abc").id())
	value := strings.Repeat("%78", 300_000)
	require.Equal(t, "abc", newSite(t, clickid.Config{}).visitor().get("/?clkid="+value+"&clkid=abc").id())
}

func TestCapture_click(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{TTL: 90*24*time.Hour + time.Second/2})
	resp := s.visitor().get("/?clkid=" + documentedID)
	click, err := clickid.Lookup(resp.ctx)
	require.NoError(t, err)
	at := startOfTest.Truncate(time.Second)
	require.Equal(t, clickid.Click{ID: documentedID, Param: "clkid", At: at, Expires: at.Add(90 * 24 * time.Hour)}, click,
		"in whole seconds, and expiring 90 days after the capture although the ID was issued in 2016")
	require.Contains(t, resp.setCookies()[0], "; Max-Age=7776000;")
}

func TestCapture_methods(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"} {
		s := newSite(t, clickid.Config{})
		resp := s.visitor().do(method, "/?clkid=abc")
		require.True(t, resp.served, method)
		require.Empty(t, resp.setCookies(), method)
		require.Empty(t, resp.id(), method)
		observations := s.observations()
		require.Len(t, observations, 1, method)
		require.Equal(t, clickid.ReasonMethod, observations[0].Reason, method)
	}
}

func TestCapture_sameClick(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	first, err := clickid.Lookup(v.get("/?clkid=abc").ctx)
	require.NoError(t, err)
	s.observations()
	for _, target := range []string{"/?clkid=abc", "/other?sc3clid=abc", "/?clkid=%61bc"} {
		s.clock.advance(24 * time.Hour)
		resp := v.get(target)
		require.Empty(t, resp.setCookies(), target)
		again, err := clickid.Lookup(resp.ctx)
		require.NoError(t, err)
		require.Equal(t, first, again, "the lifetime counts from the first capture")
		observations := s.observations()
		require.Len(t, observations, 1)
		require.Equal(t, clickid.KindUnchanged, observations[0].Kind)
		require.Equal(t, clickid.ReasonSameClick, observations[0].Reason)
	}
	require.EqualValues(t, 1, s.store.saves.Load())
}

func TestCapture_expiry(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	v := s.visitor()
	v.get("/?clkid=abc")
	s.clock.advance(30*24*time.Hour - time.Second)
	require.Equal(t, "abc", v.get("/").id(), "visits do not extend it, and it lives to the last second")
	s.clock.advance(time.Second)
	resp := v.get("/")
	_, err := clickid.Lookup(resp.ctx)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	require.Equal(t, "abc", v.get("/?clkid=abc").id(), "the same click can be captured again then")
	require.EqualValues(t, 2, s.store.saves.Load())
}

func TestHandler_respondsToLanding(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	s.page = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "session=1")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("short and stout"))
	}
	resp := s.visitor().get("/?clkid=abc")
	require.Equal(t, http.StatusTeapot, resp.Code)
	require.Equal(t, "short and stout", resp.Body.String())
	require.Len(t, resp.setCookies(), 2)
}
