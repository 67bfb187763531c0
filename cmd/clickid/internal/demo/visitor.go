package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// visitor acts as a browser: an HTTP client with cookies that follows redirects
// and records them.
type visitor struct {
	client *http.Client
	hops   []*http.Response // that redirected to the latest page
}

// visitedPage is a page after its redirects.
type visitedPage struct {
	url  *url.URL
	hops []*http.Response // redirects
	html string
}

func newVisitor() *visitor {
	jar, _ := cookiejar.New(nil) // it returns no error without options
	v := &visitor{}
	v.client = &http.Client{
		Jar: jar,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if len(via) > 5 {
				return errors.New("too many redirects")
			}
			v.hops = append(v.hops, next.Response)
			return nil
		},
	}
	return v
}

// open follows a link.
func (v *visitor) open(ctx context.Context, link string) (*visitedPage, error) {
	return v.do(ctx, http.MethodGet, link, nil)
}

// submit sends a form.
func (v *visitor) submit(ctx context.Context, action string, fields url.Values) (*visitedPage, error) {
	return v.do(ctx, http.MethodPost, action, fields)
}

func (v *visitor) do(ctx context.Context, method, link string, fields url.Values) (*visitedPage, error) {
	v.hops = nil
	req, err := http.NewRequestWithContext(ctx, method, link, strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	body, readErr := io.ReadAll(resp.Body)
	if err := errors.Join(readErr, resp.Body.Close()); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s returned %s", resp.Request.URL, resp.Status)
	}
	return &visitedPage{url: resp.Request.URL, hops: v.hops, html: string(body)}, nil
}

// hasCookie reports whether the visitor would send the cookie to a site.
func (v *visitor) hasCookie(site, name string) bool {
	u, err := url.Parse(site)
	if err != nil {
		return false
	}
	for _, cookie := range v.client.Jar.Cookies(u) {
		if cookie.Name == name {
			return true
		}
	}
	return false
}

// attribute returns the value of the first HTML attribute with the given name.
// The demo's pages escape only ampersands in attributes.
func (p *visitedPage) attribute(name string) (string, error) {
	_, rest, found := strings.Cut(p.html, name+`="`)
	value, _, closed := strings.Cut(rest, `"`)
	if !found || !closed {
		return "", fmt.Errorf("the page %s has no %s", p.url, name)
	}
	return strings.ReplaceAll(value, "&amp;", "&"), nil
}
