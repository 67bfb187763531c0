package doctor

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"
)

// jar keeps cookies as browsers do (RFC 6265bis). The jar of net/http knows
// neither prefixes nor SameSite.
type jar struct{ cookies []storedCookie }

// storedCookie is a cookie in a jar.
type storedCookie struct {
	cookie
	host     string // that set it, or the domain
	hostOnly bool
	expires  time.Time // zero for a session
}

// maxJar limits the cookies of a hostile server.
const maxJar = 300

// store stores or deletes the cookie of the response to u. It returns why
// browsers refuse it, or "".
func (j *jar) store(u *url.URL, c cookie, now time.Time) (refusal string) {
	if refusal = c.refusal(u); refusal != "" {
		return refusal
	}
	s := storedCookie{cookie: c, host: hostname(u), hostOnly: true}
	if c.domain != "" && !isPublicSuffix(c.domain) && !isIP(s.host) {
		s.host, s.hostOnly = c.domain, false
	}
	if !strings.HasPrefix(s.path, "/") {
		s.path = defaultPath(u)
	}
	if c.persistent {
		s.expires = now.Add(min(c.lifetime, maxLifetime))
	}
	same := func(other storedCookie) bool {
		return other.name == s.name && other.host == s.host && other.hostOnly == s.hostOnly && other.path == s.path
	}
	if i := slices.IndexFunc(j.cookies, same); i >= 0 {
		if j.cookies[i].secure && !trustworthy(u) {
			return "plain HTTP must not replace a secure cookie"
		}
		j.cookies = slices.Delete(j.cookies, i, i+1)
	}
	if !c.deletes() && len(j.cookies) < maxJar {
		j.cookies = append(j.cookies, s)
	}
	return ""
}

// defaultPath is the path of a cookie without one.
func defaultPath(u *url.URL) string {
	path := u.EscapedPath()
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// sent returns the cookies that browsers send to u. fromSite means that the
// request comes from the same site, navigates that it is a GET of a page.
func (j *jar) sent(u *url.URL, now time.Time, fromSite, navigates bool) []storedCookie {
	var list []storedCookie
	for _, c := range j.cookies {
		onHost := c.host == hostname(u) || !c.hostOnly && covers(c.host, hostname(u))
		alive := c.expires.IsZero() || c.expires.After(now)
		if !onHost || !alive || !pathMatches(c.path, u.EscapedPath()) || c.secure && !trustworthy(u) {
			continue
		}
		if !fromSite && c.sameSite != "none" && (c.sameSite == "strict" || !navigates) {
			continue
		}
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b storedCookie) int { return cmp.Compare(len(b.path), len(a.path)) })
	return list
}

func pathMatches(cookie, path string) bool {
	rest, ok := strings.CutPrefix(cmp.Or(path, "/"), cookie)
	return ok && (rest == "" || strings.HasSuffix(cookie, "/") || rest[0] == '/')
}
