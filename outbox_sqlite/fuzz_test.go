package sqliteoutbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid/outbox"
)

// FuzzOpen opens files of any name. The database is in the file of that name and
// in no other, and no name changes the options of the connection.
func FuzzOpen(f *testing.F) {
	for _, name := range []string{
		"outbox.db", "a b", "a?b", "a?mode=memory", "a?_pragma=synchronous(OFF)", "a#b", "a%41", "a%00b", "%", "a&b=c", "file:a", ":memory:", "ü", "a;b", "'a'", "\"a\"", "\\a", "a\tb", "\xff", "?", "#", "-", "a.db-wal",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if strings.ContainsAny(name, "/\x00") || name == "." || name == ".." || len(name) > 100 {
			return
		}
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		o, err := Open(path, Config{Delivery: outbox.Config{Destination: outbox.Administration("shop")}})
		if err != nil {
			return
		}
		defer func() { _ = o.Close() }()
		var synchronous int
		if err := o.db.QueryRowContext(context.Background(), "PRAGMA synchronous").Scan(&synchronous); err != nil || synchronous != 2 {
			t.Fatalf("%q has the synchronous mode %d: %v", name, synchronous, err)
		}
		if _, err := o.db.ExecContext(context.Background(), "CREATE TABLE a (b INTEGER)"); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if suffix, ok := strings.CutPrefix(entry.Name(), name); !ok || suffix != "" && suffix != "-wal" && suffix != "-shm" && suffix != "-journal" {
				t.Fatalf("%q made the file %q", name, entry.Name())
			}
		}
	})
}
