package apihttp

import (
	"encoding/json"
	"strings"
)

// Text returns a JSON string or number as a string, or "".
func Text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// JoinedPath returns a path that is a string or a list of its parts, as it came.
// [Path] tells whether an error may repeat it.
func JoinedPath(v any) string {
	parts, ok := v.([]any)
	if !ok {
		return Text(v)
	}
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("/" + Text(part))
	}
	return b.String()
}
