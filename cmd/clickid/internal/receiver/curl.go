package receiver

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clickid/clickid/clickidtest"
)

// target returns the path and query of a request.
func target(r clickidtest.Request) string {
	u := url.URL{Path: r.Path, RawQuery: r.Query}
	return u.RequestURI()
}

// ownHeaders are those that curl sets itself.
var ownHeaders = []string{"Accept", "Accept-Encoding", "Connection", "Content-Length", "Host", "User-Agent"}

// curl returns a command for a POSIX shell that sends the request again.
func curl(x *clickidtest.Exchange, host string) string {
	var b strings.Builder
	// A body with control characters would act on the terminal that it is
	// pasted into.
	encoded := !isPrintable(string(x.Body))
	if encoded {
		fmt.Fprintf(&b, "echo %s | base64 -d | ", base64.StdEncoding.EncodeToString(x.Body))
	}
	fmt.Fprintf(&b, "curl --globoff -X %s %s", quote(x.Request.Method), quote("http://"+host+target(x.Request)))
	for _, name := range slices.Sorted(maps.Keys(x.Request.Header)) {
		for _, value := range x.Request.Header[name] {
			if !slices.Contains(ownHeaders, name) && isPrintable(value) {
				fmt.Fprintf(&b, " \\\n  -H %s", quote(name+": "+value))
			}
		}
	}
	b.WriteString(" \\\n  -H \"Authorization: Bearer $CLICKID_API_KEY\"")
	switch {
	case encoded:
		b.WriteString(" \\\n  --data-binary @-")
	case len(x.Body) > 0:
		fmt.Fprintf(&b, " \\\n  --data-raw %s", quote(string(x.Body)))
	}
	return b.String()
}

// quote returns s as one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsPrint(r)
	})
}
