// Godoc checks that the reference documentation is complete: every exported name
// of a public package has a comment, fields of structs and methods of interfaces
// included. A field may share the comment of an earlier one that names it:
//
//	// Events and Bytes are the size of the request.
//	Events int
//	Bytes  int
//
// Every example must be named after a name of its package, since documentation
// shows it nowhere otherwise; go vet does not see this in an external test package.
//
// It prints a line for each finding and exits with 1. Its argument is the folder of
// the repository.
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
	"unicode"
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

// check returns a line for each finding.
func check(root string) (findings []string, err error) {
	packages := map[string]bool{} // whether a folder's package has a comment
	names := map[string]bool{}    // folder:Name and folder:Type_Method
	var examples []example
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
		if filepath.Ext(name) != ".go" {
			return nil
		}
		c := &checker{files: token.NewFileSet(), root: root}
		parsed, err := parser.ParseFile(c.files, file, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		folder := filepath.Dir(file)
		if strings.HasSuffix(name, "_test.go") {
			examples = append(examples, c.examples(folder, parsed)...)
			return nil
		}
		for name := range namesOf(parsed) {
			names[folder+":"+name] = true
		}
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
	for _, e := range examples {
		if !e.attached(names) {
			findings = append(findings, e.at+": Example"+e.name+" is not named after a name of its package")
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
	c.findings = append(c.findings, c.place(at)+": "+name+" has no comment")
}

// place returns file and line.
func (c *checker) place(at token.Pos) string {
	position := c.files.Position(at)
	if file, err := filepath.Rel(c.root, position.Filename); err == nil {
		position.Filename = file
	}
	return fmt.Sprintf("%s:%d", position.Filename, position.Line)
}

// example is an example function, without the prefix of its name.
type example struct{ folder, name, at string }

func (c *checker) examples(folder string, file *ast.File) (all []example) {
	for _, declaration := range file.Decls {
		if d, ok := declaration.(*ast.FuncDecl); ok && d.Recv == nil && strings.HasPrefix(d.Name.Name, "Example") {
			all = append(all, example{folder, strings.TrimPrefix(d.Name.Name, "Example"), c.place(d.Pos())})
		}
	}
	return all
}

// attached reports whether the example belongs to its package, or to a name of it
// with an optional suffix in lower case.
func (e example) attached(names map[string]bool) bool {
	if e.name == "" || strings.HasPrefix(e.name, "_") || names[e.folder+":"+e.name] {
		return true
	}
	i := strings.LastIndex(e.name, "_")
	return i > 0 && i+1 < len(e.name) && unicode.IsLower(rune(e.name[i+1])) && names[e.folder+":"+e.name[:i]]
}

// namesOf returns the names that a file declares, methods as Type_Method.
func namesOf(file *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiverOf(d.Recv) + "_" + name
			}
			names[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					names[s.Name.Name] = true
				}
			}
		}
	}
	return names
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
	return receiver == nil || ast.IsExported(receiverOf(receiver))
}

// receiverOf returns the name of a receiver's type.
func receiverOf(receiver *ast.FieldList) string {
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
			return x.Name
		default:
			return ""
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
