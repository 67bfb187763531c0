package upload

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid/cmd/clickid/internal/fields"
)

// FuzzRows reads any content. Every row is an event or a problem, and the rows
// end.
func FuzzRows(f *testing.F) {
	for _, seed := range []string{
		"id,time,value,currency,clkid\n1,2026-11-20T14:03:00Z,1.00,EUR,x\n",
		"sep=;\r\nid;time\r\n\"1\r\n\";\r\n",
		"\ufeffid\ttime\n1\t2026-11-20",
		`{"id":"1"}` + "\n{\n",
		"\xff\xfei\x00d\x00,\x00t\x00",
		"\x1f\x8b\x08\x00", "\x28\xb5\x2f\xfd\x00", "id,time\n\"", "",
	} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "rows")
	f.Fuzz(func(t *testing.T, content string) {
		content = content[:min(len(content), 64<<10)]
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := Open(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		text, err := in.Text(nil)
		if err != nil {
			return
		}
		list, err := Config{Fields: fields.Options{Hash: true}}.rows(bufio.NewReader(io.LimitReader(text, 1<<20)))
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			if n > 2<<20 {
				t.Fatal("the rows do not end")
			}
			_, e, err := list.next()
			var problem *fields.Problem
			if err != nil && !errors.As(err, &problem) {
				return
			}
			if problem != nil && len(e.ID) > 2 && strings.Contains(problem.Reason, e.ID) {
				t.Fatalf("the reason %q has the ID", problem.Reason)
			}
		}
	})
}
