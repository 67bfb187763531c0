package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		file, line string
		want       string // empty where the import is right
	}{
		"root":                   {"a.go", `import "github.com/clickid/clickid"`, ""},
		"own name":               {"a.go", `	"github.com/clickid/clickid/outbox"`, ""},
		"own name repeated":      {"a.go", `	outbox "github.com/clickid/clickid/outbox"`, `import it as "github.com/clickid/clickid/outbox"`},
		"other name":             {"a.go", `	queue "github.com/clickid/clickid/outbox"`, `import it as "github.com/clickid/clickid/outbox"`},
		"name written out":       {"a.go", `	sqlstore "github.com/clickid/clickid/store_sql"`, ""},
		"name missing":           {"a.go", `	"github.com/clickid/clickid/store_sql"`, `import it as sqlstore "github.com/clickid/clickid/store_sql"`},
		"another name":           {"a.go", `	store "github.com/clickid/clickid/store_sql"`, `import it as sqlstore "github.com/clickid/clickid/store_sql"`},
		"for its effects":        {"a.go", `	_ "github.com/clickid/clickid/store_sql"`, ""},
		"document":               {"docs/a.md", `import "github.com/clickid/clickid/store_sql"`, `import it as sqlstore`},
		"diff in a document":     {"docs/a.md", `+	"github.com/clickid/clickid/store_sql"`, `import it as sqlstore`},
		"text":                   {"docs/a.md", "Get `github.com/clickid/clickid/store_sql`.", ""},
		"other module":           {"a.go", `	store "github.com/clickid/clickid-tools/store_sql"`, ""},
		"file of another kind":   {"a.txt", `	"github.com/clickid/clickid/store_sql"`, ""},
		"folder of another tool": {".tool/a.go", `	"github.com/clickid/clickid/store_sql"`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "clickid.go", "package clickid\n")
			write(t, root, "outbox/outbox.go", "// Package outbox is one.\npackage outbox\n")
			write(t, root, "store_sql/a_test.go", "package sqlstore_test\n")
			write(t, root, "store_sql/b.go", "package sqlstore\n")
			write(t, root, tt.file, "package clickid\n\n"+tt.line+"\n")
			findings, err := check(root)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case tt.want == "" && len(findings) > 0:
				t.Errorf("findings: %q", findings)
			case tt.want != "" && (len(findings) != 1 || !strings.HasPrefix(findings[0], tt.file+":3: "+tt.want)):
				t.Errorf("findings: %q, want %q", findings, tt.want)
			}
		})
	}
}

func TestCheck_missingFolder(t *testing.T) {
	root := t.TempDir()
	write(t, root, "a.go", "package a\n\nimport \"github.com/clickid/clickid/nowhere\"\n")
	if _, err := check(root); err == nil {
		t.Error("an import of a folder without a package was accepted")
	}
}

func write(t *testing.T, root, name, content string) {
	t.Helper()
	name = filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
