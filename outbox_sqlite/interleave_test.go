package sqliteoutbox_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/interleavetest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

func TestOutbox_interleaved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	source := "file:" + path + "?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(60000)"
	interleavetest.Run(t, interleavetest.Backend{
		Open: func(t testing.TB, cfg outbox.Config, gate *interleavetest.Gate) outbox.Drainer {
			db := openShop(t, source)
			if gate != nil {
				db = interleavetest.OpenDB(t, "sqlite", source, gate, interleavetest.IsRiverStep)
			}
			ob, err := newIdle(context.Background(), db, sqliteoutbox.Config{Delivery: cfg})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = ob.Close() })
			return ob
		},
		Stored: func(t testing.TB) string {
			db := openShop(t, source)
			defer func() { _ = db.Close() }()
			rows, err := db.QueryContext(t.Context(), "SELECT json(metadata) FROM river_job")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			var all []string
			for rows.Next() {
				var metadata string
				if err := rows.Scan(&metadata); err != nil {
					t.Fatal(err)
				}
				all = append(all, metadata)
			}
			return strings.Join(all, "\n")
		},
	})
}
