package fiberadapter

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/clickid/clickid"
	"github.com/gofiber/fiber/v3"
)

// convert returns c as net/http has it. Fiber's strings alias buffers that the
// next visitor's request overwrites, so everything is copied: a click lives
// longer than its request.
func convert(c fiber.Ctx) (response, *http.Request, error) {
	in := &c.Request().Header
	target := string(in.RequestURI())
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return response{}, nil, fiber.ErrBadRequest // as net/http answers it
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

// response is a ResponseWriter that collects the header.
type response struct {
	c      fiber.Ctx
	header http.Header
}

func (w response) Header() http.Header         { return w.header }
func (w response) WriteHeader(status int)      { w.c.Status(status) }
func (w response) Write(b []byte) (int, error) { return w.c.Write(b) }

// apply carries the header into Fiber's response, and the click to where
// handlers look for it.
func (w response) apply(r *http.Request) {
	w.write(false)
	if r == nil {
		return // f of Do changed no request
	}
	if click := r.Context().Value(clickid.ContextKey); click != nil {
		w.c.SetContext(r.Context())
		w.c.Locals(clickid.ContextKey, click)
	}
}

// write moves the collected header into Fiber's response, or only those parts
// of it that are missing there.
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
				out.Set(name, value) // of cookies, it adds one
			}
		}
	}
}
