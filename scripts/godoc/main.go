// Godoc checks that the reference documentation is complete: every exported name
// of a public package has a comment, fields of structs and methods of interfaces
// included. A field may share the comment of an earlier one that names it:
//
//	// Events and Bytes are the size of the request.
//	Events int
//	Bytes  int
//
// It prints a line for each name without a comment and exits with 1. Its argument
// is the folder of the repository. Names of examples are checked by go vet.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// private are the folders without public packages.
var private = []string{"bench", "e2e", "examples", "internal", "scripts", "testdata"}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: godoc FOLDER")
		os.Exit(2)
	}
	findings, err := check(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "godoc:", err)
		os.Exit(2)
	}
	for _, finding := range findings {
		fmt.Println(finding)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
}

// check returns a line for each exported name without a comment.
func check(root string) (findings []string, err error) {
	packages := map[string]bool{} // whether a folder's package has a comment
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if file != root && (slices.Contains(private, name) || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		c := &checker{files: token.NewFileSet(), root: root}
		parsed, err := parser.ParseFile(c.files, file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		folder := filepath.Dir(file)
		packages[folder] = packages[folder] || parsed.Doc.Text() != ""
		if parsed.Name.Name != "main" {
			for _, declaration := range parsed.Decls {
				c.declaration(declaration)
			}
		}
		findings = append(findings, c.findings...)
		return nil
	})
	for folder, documented := range packages {
		if !documented {
			findings = append(findings, folder+": the package has no comment")
		}
	}
	slices.Sort(findings)
	return findings, err
}

// checker checks a file.
type checker struct {
	files    *token.FileSet
	root     string
	findings []string
}

// report reports a name without a comment.
func (c *checker) report(at token.Pos, name string) {
	position := c.files.Position(at)
	if file, err := filepath.Rel(c.root, position.Filename); err == nil {
		position.Filename = file
	}
	c.findings = append(c.findings, fmt.Sprintf("%s:%d: %s has no comment", position.Filename, position.Line, name))
}

func (c *checker) declaration(declaration ast.Decl) {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc.Text() == "" && isPublic(d.Recv) && !explained(d) {
			c.report(d.Pos(), d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				c.typeSpec(d, s)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && d.Doc.Text()+s.Doc.Text()+s.Comment.Text() == "" {
						c.report(name.Pos(), name.Name)
					}
				}
			}
		}
	}
}

// explained reports whether the meaning of a method is that of an interface of
// the standard library.
func explained(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{"Error", "Unwrap", "Format", "LogValue"}, d.Name.Name)
}

// isPublic reports whether a function is visible: it has no receiver or one of an
// exported type.
func isPublic(receiver *ast.FieldList) bool {
	if receiver == nil {
		return true
	}
	t := receiver.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

func (c *checker) typeSpec(d *ast.GenDecl, s *ast.TypeSpec) {
	if !s.Name.IsExported() {
		return
	}
	if d.Doc.Text()+s.Doc.Text() == "" {
		c.report(s.Pos(), s.Name.Name)
	}
	var fields *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		fields = t.Fields
	case *ast.InterfaceType:
		fields = t.Methods
	default:
		return
	}
	var comments strings.Builder // of the fields so far, and of the type
	comments.WriteString(d.Doc.Text() + s.Doc.Text())
	for _, field := range fields.List {
		comments.WriteString(field.Doc.Text() + field.Comment.Text())
		for _, name := range field.Names {
			if name.IsExported() && field.Doc.Text()+field.Comment.Text() == "" && !mentions(comments.String(), name.Name) {
				c.report(name.Pos(), s.Name.Name+"."+name.Name)
			}
		}
	}
}

// mentions reports whether a text has a word.
func mentions(text, word string) bool {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`).MatchString(text)
}
