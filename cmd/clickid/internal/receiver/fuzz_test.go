package receiver_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/stretchr/testify/require"
)

// FuzzAPI sends arbitrary queries and bodies to the API for tests. Each has a
// response in JSON that is not an error of the server, a refused fault is not
// injected, and an injected one can be posted again as the API lists it.
func FuzzAPI(f *testing.F) {
	r, err := receiver.New(f.Context(), receiver.Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, r.Close()) })
	handler := r.Handler()
	gone, leave := context.WithCancel(f.Context())
	leave() // so that wait responds at once
	call := func(t *testing.T, method, path, query, body string) (int, string) {
		req := httptest.NewRequest(method, "http://localhost/api/v1/"+path, strings.NewReader(body)).WithContext(gone)
		req.URL.RawQuery = query
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if !json.Valid(w.Body.Bytes()) || w.Code != http.StatusOK && w.Code != http.StatusBadRequest && w.Code != http.StatusConflict {
			t.Fatalf("%s %s?%s has status %d: %s", method, path, query, w.Code, w.Body)
		}
		return w.Code, w.Body.String()
	}
	faults := func(t *testing.T) (listed []json.RawMessage) {
		var list struct{ Faults []json.RawMessage }
		if _, body := call(t, http.MethodGet, "faults", "", ""); json.Unmarshal([]byte(body), &list) != nil {
			t.Fatal("the list is not one")
		}
		return list.Faults
	}
	for _, query := range []string{"", "count=0", "count=1&timeout=1s", "kind=all&limit=1000", "kind=x", "after=2&before=1", "after=-1", "text=%zz;&text", "timeout=-1s&count=", "number=1"} {
		f.Add(query, `{"fault":"503","times":2,"retry_after":1.5}`)
	}
	for _, body := range []string{"", "{}", "null", `{"fault":"slow","always":true,"delay":0.0000000001}`, `{"fault":"cut","times":-1}`, `{"fault":"429","retry_after":86400}`, `{"fault":"html","delay":1}`, `{"fault":"html"} {}`} {
		f.Add("count=0", body)
	}
	f.Fuzz(func(t *testing.T, query, body string) {
		for _, path := range []string{"events", "wait", "assert", "event-sources"} {
			status, text := call(t, http.MethodGet, path, query, "")
			if values, err := url.ParseQuery(query); path == "assert" && err == nil && values.Get("count") == "0" && len(values) == 1 && status != http.StatusOK {
				t.Fatalf("%q: %s", query, text)
			}
		}
		status, _ := call(t, http.MethodPost, "faults", "", body)
		listed := faults(t)
		if (status == http.StatusOK) != (len(listed) == 1) {
			t.Fatalf("%q has status %d and becomes %s", body, status, listed)
		}
		call(t, http.MethodDelete, "faults", "", "")
		if len(faults(t)) != 0 {
			t.Fatal("a fault was not cleared")
		}
		if len(listed) == 0 {
			return
		}
		if status, text := call(t, http.MethodPost, "faults", "", string(listed[0])); status != http.StatusOK {
			t.Fatalf("%s became %s, which is refused: %s", body, listed[0], text)
		}
		if again := faults(t); string(again[0]) != string(listed[0]) {
			t.Fatalf("%s became %s and %s", body, listed[0], again[0])
		}
		call(t, http.MethodDelete, "faults", "", "")
	})
}
