package receiver_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/stretchr/testify/require"
)

func keep(n int) func(*receiver.Options) {
	return func(o *receiver.Options) { o.Keep = n }
}

func TestOptions_keep(t *testing.T) {
	t.Parallel()
	s := start(t, keep(3))
	for i := range 5 {
		s.send(ecapiPath, purchase(fmt.Sprintf("order-%d", i)))
	}
	kept := get[list](s, 200, "/api/v1/events")
	require.Equal(t, []string{"order-2", "order-3", "order-4"}, kept.ids())
	require.Equal(t, receiver.Counts{Accepted: 5, Dropped: 2}, kept.Counts)
	get[list](s, 404, "/api/v1/events/2")
	s.send(ecapiPath, purchase("order-0"))
	latest := get[list](s, 200, "/api/v1/events?id=order-0").Events[0]
	require.Equal(t, "accepted", latest.Verdict, "the receiver has forgotten it")
	require.Equal(t, 1, latest.Attempt)
}

// TestOptions_keepBatch keeps a part of a request's events.
func TestOptions_keepBatch(t *testing.T) {
	t.Parallel()
	s := start(t, keep(2))
	s.send(capiPath, logEvents("1", lead("1"), lead("2"), lead("3")))
	require.Equal(t, []string{"2", "3"}, get[list](s, 200, "/api/v1/events").ids())
}

func TestOptions_file(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "events.db")
	file := func(o *receiver.Options) { o.File = name }
	run := func(t *testing.T, f func(s *server), edits ...func(*receiver.Options)) {
		t.Run("", func(t *testing.T) { f(start(t, append(edits, file)...)) })
	}
	run(t, func(s *server) {
		s.send(ecapiPath, purchase("order-1"))
		s.send(ecapiPath, strings.Replace(purchase("order <2>"), "purchase", "bought", 1))
		s.send(capiPath, logEvents("1", lead("1"), lead("2")))
		s.send("/nowhere", "{")
	})
	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "events are personal data")
	run(t, func(s *server) {
		before := get[list](s, 200, "/api/v1/events?kind=all")
		require.Equal(t, []string{"order-1", "order <2>", "1", "2", ""}, before.ids())
		require.Equal(t, receiver.Counts{Accepted: 3, Refused: 1, Requests: 1}, before.Counts)
		d := get[detail](s, 200, "/api/v1/events/2")
		require.Contains(t, d.Raw, `"order <2>"`)
		require.NotEmpty(t, d.Explanations)
		s.send(ecapiPath, purchase("order-1"))
		again := get[list](s, 200, "/api/v1/events?id=order-1&verdict=duplicate").Events
		require.Len(t, again, 1, "duplicates are recognised after a restart")
		require.Equal(t, []int{6, 2}, []int{again[0].Number, again[0].Attempt})
	})
	run(t, func(s *server) {
		kept := get[list](s, 200, "/api/v1/events?kind=all")
		require.Equal(t, []string{"2", "", "order-1"}, kept.ids())
		require.Equal(t, 3, kept.Counts.Dropped)
		_, _ = s.request("DELETE", "/api/v1/events", "")
	}, keep(3))
	run(t, func(s *server) {
		kept := get[list](s, 200, "/api/v1/events?kind=all")
		require.Empty(t, kept.Events)
		require.Zero(t, kept.Counts)
		s.send(ecapiPath, purchase("order-1"))
		require.Equal(t, 7, get[list](s, 200, "/api/v1/events?verdict=accepted").Events[0].Number)
	})
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	require.False(t, bytes.Contains(content, []byte(key)))
}

// TestOptions_fileDrops checks that the file does not keep what is dropped.
func TestOptions_fileDrops(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "events.db")
	t.Run("fill", func(t *testing.T) {
		s := start(t, keep(2), func(o *receiver.Options) { o.File = name })
		for i := range 4 {
			s.send(ecapiPath, purchase(fmt.Sprintf("order-%d", i)))
		}
	})
	t.Run("read", func(t *testing.T) {
		s := start(t, func(o *receiver.Options) { o.File = name })
		kept := get[list](s, 200, "/api/v1/events")
		require.Equal(t, []string{"order-2", "order-3"}, kept.ids())
		require.Equal(t, receiver.Counts{Accepted: 4, Dropped: 2}, kept.Counts)
	})
}

// TestOptions_fileFails checks that the receiver goes on without its file.
func TestOptions_fileFails(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *receiver.Options) { o.File = filepath.Join(t.TempDir(), "events.db") })
	require.NoError(t, s.r.CloseFile())
	status, _ := s.send(ecapiPath, purchase("order-1"))
	require.Equal(t, 200, status)
	get[list](s, 200, "/api/v1/assert?count=1")
	require.Contains(t, s.log.String(), "receive: an event is not stored in the file of -db")
}

func TestNew_unusableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	used := filepath.Join(dir, "used.db")
	start(t, func(o *receiver.Options) { o.File = used })
	other := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(other, bytes.Repeat([]byte("text "), 50), 0o600))
	for _, file := range []string{dir, filepath.Join(dir, "missing", "events.db"), other, used} {
		_, err := receiver.New(t.Context(), receiver.Options{File: file, Log: slog.Default()})
		require.ErrorContains(t, err, "receive: "+file+" is not a usable database, or another receiver uses it; choose another file with -db")
	}
}

// TestOptions_keepBytes checks that few large events are bounded too.
func TestOptions_keepBytes(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *receiver.Options) { o.KeepBytes = 100_000 })
	large := `"properties":{"a":"` + strings.Repeat("x", 20_000) + `"},"value"`
	for i := range 5 {
		status, _ := s.send(ecapiPath, strings.Replace(purchase(fmt.Sprintf("order-%d", i)), `"value"`, large, 1))
		require.Equal(t, 200, status)
	}
	kept := get[list](s, 200, "/api/v1/events")
	require.Equal(t, []string{"order-3", "order-4"}, kept.ids())
	require.Equal(t, 3, kept.Counts.Dropped)
	s.send(ecapiPath, strings.Replace(purchase("order-5"), `"value"`, strings.Replace(large, "x", strings.Repeat("x", 100_000), 1), 1))
	require.Equal(t, []string{"order-5"}, get[list](s, 200, "/api/v1/events").ids(), "the latest is always kept")
}
