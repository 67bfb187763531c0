package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/clickid/clickid/clickidtest"
)

// exhibit has a request or response printed below the current step.
func (j *journey) exhibit(exhibits ...string) { j.exhibits = append(j.exhibits, exhibits...) }

func (j *journey) printExhibits() {
	for _, exhibit := range j.exhibits {
		for line := range strings.Lines(exhibit) {
			fmt.Fprintf(j.progress, "    %s", line)
		}
		fmt.Fprintln(j.progress)
	}
	j.exhibits = nil
}

// exhibitOf returns the visitor's request with its cookies, and the response with
// the named headers.
func exhibitOf(resp *http.Response, headers ...string) string {
	req := resp.Request
	var b strings.Builder
	fmt.Fprintf(&b, "> %s %s\n", req.Method, req.URL.RequestURI())
	fmt.Fprintf(&b, "> Host: %s\n", req.URL.Host)
	for _, cookie := range req.Header.Values("Cookie") {
		fmt.Fprintf(&b, "> Cookie: %s\n", cookie)
	}
	fmt.Fprintf(&b, "< %s\n", resp.Status)
	for _, name := range headers {
		for _, value := range resp.Header.Values(name) {
			fmt.Fprintf(&b, "< %s: %s\n", name, value)
		}
	}
	return b.String()
}

// exhibitOfConversion returns the shop's request to the platform and the
// response. The API key is not recorded.
func exhibitOfConversion(x clickidtest.Exchange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "> %s %s\n", x.Request.Method, x.Request.Path)
	fmt.Fprintf(&b, "> Authorization: Bearer (the API key)\n")
	fmt.Fprintf(&b, "> Content-Type: %s\n", x.Request.Header.Get("Content-Type"))
	for line := range strings.Lines(indented(x.Body)) {
		fmt.Fprintf(&b, "> %s", line)
	}
	fmt.Fprintf(&b, "\n< %d %s\n", x.Response.Status, http.StatusText(x.Response.Status))
	for line := range strings.Lines(indented(x.Response.Body)) {
		fmt.Fprintf(&b, "< %s", line)
	}
	return b.String() + "\n"
}

// indented returns JSON in lines, without a line break at the end.
func indented(data []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(data), "", "  "); err != nil {
		return string(data)
	}
	return b.String()
}
