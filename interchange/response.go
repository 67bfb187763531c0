package interchange

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/apihttp"
	"github.com/clickid/clickid/internal/rawjson"
)

// maxFields limits the paths in an error.
const maxFields = 10

// readResponse returns the object of a successful response, without its
// wrapper, or the error of any other.
func readResponse(doing string, status int, header http.Header, body []byte, now time.Time) (*object, *Error) {
	e := &Error{doing: doing, status: status, retryAfter: apihttp.RetryAfter(header, now)}
	e.Body = bytes.Clone(body[:min(len(body), maxErrorBody)])
	parsed, err := rawjson.Decode(body)
	top, isObject := parsed.(map[string]any)
	success := status >= 200 && status < 300
	switch {
	case len(body) > maxResponseBytes:
		e.problem = fmt.Sprintf("it is larger than %d MiB", maxResponseBytes>>20)
	case strings.Contains(header.Get("Content-Type"), "html"), bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")):
		e.problem = "it is HTML"
	case success && err != nil:
		e.problem = "it is not JSON, or its JSON is cut short"
	case success && !isObject:
		e.problem = "it is not a JSON object"
	}
	if e.problem != "" {
		return nil, e
	}
	named := e.read(top)
	if !success || named {
		return nil, e
	}
	if data, ok := top["data"].(map[string]any); ok {
		top = data
	}
	return &object{members: top, response: e}, nil
}

// read adds code and paths of an error response, and reports whether there is
// an error.
func (e *Error) read(top map[string]any) bool {
	named := false
	list, _ := top["errors"].([]any)
	for _, v := range append([]any{top["error"]}, list...) {
		switch v := v.(type) {
		case string:
			named = named || v != ""
			e.addCode(v)
		case map[string]any:
			named = true
			e.addCode(apihttp.Text(v["code"]))
			e.addField(v["field"])
			e.addIssues(v["issues"])
			if details, ok := v["details"].(map[string]any); ok {
				e.addIssues(details["issues"])
			}
		}
	}
	if e.status >= 300 {
		e.addCode(apihttp.Text(top["code"]))
	}
	return named
}

func (e *Error) addCode(s string) {
	if e.Code == "" {
		e.Code = apihttp.Code(s)
	}
}

func (e *Error) addIssues(v any) {
	issues, _ := v.([]any)
	for _, issue := range issues {
		if object, ok := issue.(map[string]any); ok {
			e.addField(object["path"])
		}
	}
}

// addField adds a path that is given as text or as a list of its parts.
func (e *Error) addField(v any) {
	if path := apihttp.Path(apihttp.JoinedPath(v)); path != "" && len(e.Fields) < maxFields && !slices.Contains(e.Fields, path) {
		e.Fields = append(e.Fields, path)
	}
}

// object reads a JSON object of a response. A member that is missing, null or
// of another type is empty.
type object struct {
	members  map[string]any
	response *Error // the error of a response that is not that of the API
}

// complete returns an error if required members are missing.
func (o *object) complete(ok bool) error {
	if ok {
		return nil
	}
	o.response.problem = "required members are missing"
	return o.response
}

func (o *object) text(name string) string { return apihttp.Text(o.members[name]) }

// time returns an RFC 3339 time in UTC, or the zero time.
func (o *object) time(name string) time.Time {
	t, err := time.Parse(time.RFC3339, o.text(name))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// count returns an integer that is not negative.
func (o *object) count(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(o.text(name), 10, 64)
	return n, err == nil && n >= 0
}

func (o *object) texts(name string) []string {
	list, _ := o.members[name].([]any)
	var found []string
	for _, v := range list {
		if s := apihttp.Text(v); s != "" {
			found = append(found, s)
		}
	}
	return found
}

func (o *object) object(name string) *object {
	members, ok := o.members[name].(map[string]any)
	if !ok {
		return nil
	}
	return &object{members: members, response: o.response}
}

// objects returns the objects of a list. It returns false if the member is not
// a list of objects.
func (o *object) objects(name string) ([]*object, bool) {
	list, ok := o.members[name].([]any)
	found := make([]*object, 0, len(list))
	for _, v := range list {
		members, isObject := v.(map[string]any)
		if !isObject {
			return nil, false
		}
		found = append(found, &object{members: members, response: o.response})
	}
	return found, ok
}
