package fiberadapter

import (
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/utils/v2"
)

// probe is a request that only holds what [extension.Concerns] reads. Its
// strings alias Fiber's buffers and are not kept.
type probe struct {
	*http.Request
	slots [len(read)][1]string
}

// read are the headers that extension.Concerns reads.
var read = [...]string{
	"Cookie", "Referer", "Sec-Gpc", "Accept", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Purpose", "Purpose", "X-Moz",
}

var probes = sync.Pool{New: func() any {
	p := &probe{Request: &http.Request{URL: new(url.URL), Header: make(http.Header, len(read))}}
	for i, name := range read {
		p.Header[name] = p.slots[i][:]
	}
	return p
}}

// concerns reports whether the tracker has anything to do with the request.
func concerns(t *clickid.Tracker, c fiber.Ctx) bool {
	p := probes.Get().(*probe)
	defer probes.Put(p)
	in := &c.Request().Header
	for i, name := range read {
		p.slots[i][0] = utils.UnsafeString(in.Peek(name))
	}
	p.Method, p.Host = utils.UnsafeString(in.Method()), utils.UnsafeString(in.Host())
	_, p.URL.RawQuery, _ = strings.Cut(utils.UnsafeString(in.RequestURI()), "?")
	return extension.Concerns(t, p.Request)
}

// convert returns c as a net/http request and response. It copies all strings:
// a click outlives its request, and Fiber's strings alias buffers that the next
// request overwrites.
func convert(c fiber.Ctx) (response, *http.Request, error) {
	in := &c.Request().Header
	target := string(in.RequestURI())
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return response{}, nil, fiber.ErrBadRequest // as net/http does
	}
	r := &http.Request{
		Method: string(in.Method()), URL: u, RequestURI: target, Host: string(in.Host()),
		Header: make(http.Header), Body: http.NoBody,
		RemoteAddr: c.RequestCtx().RemoteAddr().String(), TLS: c.RequestCtx().TLSConnectionState(),
	}
	for name, value := range in.All() {
		r.Header.Add(string(name), string(value))
	}
	return response{c, make(http.Header)}, r.WithContext(c.Context()), nil
}

// response is an http.ResponseWriter that collects the header.
type response struct {
	c      fiber.Ctx
	header http.Header
}

func (w response) Header() http.Header         { return w.header }
func (w response) WriteHeader(status int)      { w.c.Status(status) }
func (w response) Write(b []byte) (int, error) { return w.c.Write(b) }

// apply writes the header into Fiber's response and the click into its contexts.
func (w response) apply(r *http.Request) {
	w.write(false)
	if r == nil {
		return // f of Do returned no request
	}
	if click := r.Context().Value(extension.ContextKey); click != nil {
		w.c.SetContext(r.Context())
		w.c.Locals(extension.ContextKey, click)
	}
}

// write writes the collected header into Fiber's response. With missingOnly it
// keeps the values that are there.
func (w response) write(missingOnly bool) {
	out := &w.c.Response().Header
	for name, values := range w.header {
		for _, value := range values {
			there := out.Peek(name)
			if name == "Set-Cookie" {
				cookie, _, _ := strings.Cut(value, "=")
				if there = out.PeekCookie(cookie); !missingOnly {
					out.DelCookie(cookie)
				}
			}
			if !missingOnly || len(there) == 0 {
				out.Set(name, value) // adds a cookie if name is Set-Cookie
			}
		}
	}
}
