package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
)

// A kind tells where a text stands.
type kind string

const (
	kindComment kind = "comment" // a Go comment, the only kind that is counted
	kindString  kind = "string"  // a Go string literal
	kindName    kind = "name"    // a name that Go code declares, split into words
	kindFile    kind = "file"    // a whole file of another language
)

// A text is a piece of prose. It begins in the given line of the file and its
// line breaks are those of the file.
type text struct {
	file string // relative to the root, with slashes
	line int
	kind kind
	body string
}

// read returns the prose of the files in the given folders below root, of all
// of them if none is given. It skips testdata, build results and this command.
func read(root string, folders []string) ([]text, error) {
	if len(folders) == 0 {
		folders = []string{"."}
	}
	var texts []text
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			relative = filepath.ToSlash(relative)
			if entry.IsDir() {
				if skipped(relative) {
					return filepath.SkipDir
				}
				return nil
			}
			if !entry.Type().IsRegular() {
				return nil
			}
			found, err := readFile(name, relative)
			texts = append(texts, found...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return texts, nil
}

func skipped(folder string) bool {
	switch base := path.Base(folder); {
	case folder == ".":
		return false
	case base == ".ci", base == ".github":
		return false
	case strings.HasPrefix(base, "."), base == "testdata":
		return true
	}
	return folder == "bin" || folder == "dist" || folder == "scripts/prose"
}

func readFile(name, relative string) ([]text, error) {
	extension := path.Ext(relative)
	switch extension {
	case ".go", ".md", ".html", ".css", ".js", ".sql", ".yaml", ".yml", "":
	default:
		return nil, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	switch {
	case extension == ".go":
		return readGo(relative, content)
	case extension == "" && path.Base(relative) != "Makefile" && !bytes.HasPrefix(content, []byte("#!")):
		return nil, nil // such as LICENSE
	}
	return []text{{relative, 1, kindFile, string(content)}}, nil
}

func readGo(relative string, content []byte) ([]text, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, relative, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse Go file: %w", err)
	}
	line := func(p token.Pos) int { return files.Position(p).Line }

	var texts []text
	for _, group := range file.Comments {
		var lines []string
		for _, comment := range group.List {
			lines = append(lines, bareComment(comment.Text))
		}
		texts = append(texts, text{relative, line(group.Pos()), kindComment, strings.Join(lines, "\n")})
	}
	declared := func(names ...*ast.Ident) {
		for _, name := range names {
			if name != nil {
				texts = append(texts, text{relative, line(name.Pos()), kindName, words(name.Name)})
			}
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.ImportSpec:
			declared(n.Name)
			return false
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				texts = append(texts, text{relative, line(n.Pos()), kindString, stringBody(n.Value)})
			}
		case *ast.FuncDecl:
			declared(n.Name)
		case *ast.TypeSpec:
			declared(n.Name)
		case *ast.ValueSpec:
			declared(n.Names...)
		case *ast.Field:
			declared(n.Names...)
		case *ast.LabeledStmt:
			declared(n.Label)
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				declareIdents(declared, n.Lhs...)
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				declareIdents(declared, n.Key, n.Value)
			}
		}
		return true
	})
	return texts, nil
}

func declareIdents(declared func(...*ast.Ident), expressions ...ast.Expr) {
	for _, e := range expressions {
		if name, ok := e.(*ast.Ident); ok {
			declared(name)
		}
	}
}

// bareComment returns a comment without its markers; directives are empty.
func bareComment(comment string) string {
	if rest, ok := strings.CutPrefix(comment, "//"); ok {
		if rest != "" && !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "\t") {
			return ""
		}
		return rest
	}
	return strings.TrimSuffix(strings.TrimPrefix(comment, "/*"), "*/")
}

// stringBody keeps the line breaks of a raw string. In an interpreted one they
// become spaces, since the literal is in one line of the file.
func stringBody(literal string) string {
	value, err := strconv.Unquote(literal)
	if err != nil || strings.HasPrefix(literal, "`") {
		return strings.Trim(literal, "`")
	}
	return strings.ReplaceAll(value, "\n", " ")
}

// words splits a name: "lastHTTPAnswers_x" becomes "last HTTP Answers x".
func words(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if r == '_' {
			b.WriteByte(' ')
			continue
		}
		afterLower := i > 0 && unicode.IsLower(runes[i-1])
		beforeLower := i > 0 && i+1 < len(runes) && unicode.IsUpper(runes[i-1]) && unicode.IsLower(runes[i+1])
		if unicode.IsUpper(r) && (afterLower || beforeLower) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
