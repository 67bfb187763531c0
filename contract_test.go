package clickid_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// Every golden request is one that the platform's contract accepts.
func TestGoldenRequestsKeepTheContract(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		path := "/agentic/v1/capi"
		switch {
		case strings.HasPrefix(name, "ecapi"):
			path = "/agentic/v1/events"
		case strings.HasSuffix(name, "_interchange"):
			path = "/api/v2/buyer/advertisers/adv-7/log-event"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := clickidtest.New(clickidtest.Config{
				IAB: strings.HasSuffix(name, "_iab"),
				Accounts: []clickidtest.Account{{
					APIKey: testKey, DataSets: []string{ecapi.DataSetID}, EventSources: []string{logEvent.EventSourceID}, Advertisers: []string{"adv-7"},
				}},
			})
			body, err := os.Open(file)
			require.NoError(t, err)
			defer body.Close()
			r := httptest.NewRequest(http.MethodPost, path, body)
			r.Header.Set("Authorization", "Bearer "+testKey)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			receiver.ServeHTTP(w, r)
			require.Equal(t, http.StatusOK, w.Code, w.Body)
			require.NotEmpty(t, receiver.Accepted())
		})
	}
}
