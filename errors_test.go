package clickid_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestErrors_prefix checks that an error begins with the name of its own package
// and has it once.
func TestErrors_prefix(t *testing.T) {
	t.Parallel()
	prefix := regexp.MustCompile(`^[a-z0-9]+: `)
	checked := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "bench", "cmd", "e2e", "examples", "internal", "scripts", "testdata":
				return filepath.SkipDir // no packages that users import
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			text, ok := errorText(n)
			if found := prefix.FindString(text); ok && found != "" {
				checked++
				require.Equal(t, file.Name.Name+": ", found, "%s: %q", path, text)
				require.Equal(t, 1, strings.Count(text, found), "%s: %q", path, text)
			}
			return true
		})
		return nil
	}))
	require.Greater(t, checked, 100)
}

// errorText returns the text that a call of errors.New or fmt.Errorf begins with.
func errorText(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return "", false
	}
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || function.Sel.Name != "New" && function.Sel.Name != "Errorf" {
		return "", false
	}
	argument := call.Args[0]
	for {
		joined, ok := argument.(*ast.BinaryExpr)
		if !ok {
			break
		}
		argument = joined.X
	}
	literal, ok := argument.(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}
