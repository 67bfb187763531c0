package adaptertest

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/clickid/clickid"
)

// UploadPath is the path of the page that [Uploads] tests.
const UploadPath = "/upload"

// UploadMemory is how much of a form the page keeps in memory at most, so that
// the file is on disk.
const UploadMemory = 1 << 10

// Uploads checks that the tracked application removes the temporary files that
// the bare one removes. start serves POST UploadPath, which parses the multipart
// form and then calls parsed. tracker is nil for the bare application.
//
// Uploads sets TMPDIR, so the test must not be parallel.
func Uploads(t *testing.T, start func(t *testing.T, tracker *clickid.Tracker, parsed func()) (baseURL string, client *http.Client)) {
	t.Helper()
	for name, request := range map[string]struct{ query, cookie string }{
		"without a click": {},
		"a click":         {query: "?clkid=abc"},
		"a cookie":        {cookie: "__Host-clkid=x"},
	} {
		t.Run(name, func(t *testing.T) {
			left := func(tracker *clickid.Tracker) int {
				dir := t.TempDir()
				t.Setenv("TMPDIR", dir)
				onDisk := 0
				url, client := start(t, tracker, func() { onDisk = count(t, dir) })
				upload(t, client, url+UploadPath+request.query, request.cookie)
				if onDisk == 0 {
					t.Fatal("the page did not keep the file on disk, or did not call parsed")
				}
				// Servers remove the files after the response.
				for deadline := time.Now().Add(patience); count(t, dir) > 0 && time.Now().Before(deadline); {
					time.Sleep(time.Millisecond)
				}
				return count(t, dir)
			}
			if tracked := left(NewTracker(t)); tracked > 0 {
				t.Errorf("%d files stay behind with the tracker, %d without it", tracked, left(nil))
			}
		})
	}
}

// HTTPUploads is Uploads for a router that is an http.Handler, over HTTP/1 and
// HTTP/2.
func HTTPUploads(t *testing.T, router func(tracker *clickid.Tracker, parsed func()) http.Handler) {
	for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			Uploads(t, func(t *testing.T, tracker *clickid.Tracker, parsed func()) (string, *http.Client) {
				server := httptest.NewUnstartedServer(router(tracker, parsed))
				server.EnableHTTP2 = http2
				server.StartTLS()
				t.Cleanup(server.Close)
				return server.URL, server.Client()
			})
		})
	}
}

func count(t *testing.T, dir string) int {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// upload sends a form with a file.
func upload(t *testing.T, client *http.Client, url, cookie string) {
	t.Helper()
	body := new(bytes.Buffer)
	form := multipart.NewWriter(body)
	part, err := form.CreateFormFile("file", "large.bin")
	if err == nil {
		_, err = part.Write(make([]byte, 1<<20))
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s (%v)", resp.StatusCode, text, err)
	}
}
