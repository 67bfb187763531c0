package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestCheck(t *testing.T) {
	for name, row := range map[string]struct {
		source   string
		examples string
		want     []string
	}{
		"everything has a comment": {`// Package p is documented.
package p

// T is a type.
type T struct {
	// A and B share a comment.
	A int
	B int
	C int // has its own
	d int
}

// String returns a text.
func (T) String() string { return "" }

func (T) Error() string { return "" }

func (t) Hidden() {}

type t struct{ Hidden int }

// The kinds.
const (
	One = iota
	Two
)
`, `package p_test

func Example() {}

func Example_start() {}

func ExampleT() {}

func ExampleT_String_suffix() {}

func Exported() {}
`, nil},
		"names without a comment": {`// Package p is documented.
package p

type T struct{ A int }

type I interface{ Do() }

func F() {}

func (*T) M() {}

var V, W int
`, `package p_test

func ExampleNothing() {}

func ExampleT_Missing() {}
`, []string{
			"p.go:10: M has no comment", "p.go:12: V has no comment", "p.go:12: W has no comment", "p.go:4: T has no comment",
			"p.go:4: T.A has no comment", "p.go:6: I has no comment", "p.go:6: I.Do has no comment", "p.go:8: F has no comment",
			"p_test.go:3: ExampleNothing is not named after a name of its package",
			"p_test.go:5: ExampleT_Missing is not named after a name of its package",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, source := range map[string]string{"p.go": row.source, "p_test.go": row.examples} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(source), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := check(dir)
			if err != nil || !reflect.DeepEqual(got, row.want) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestCheck_package(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte("package p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := check(dir); err != nil || len(got) != 1 || got[0] != dir+": the package has no comment" {
		t.Errorf("%q, %v", got, err)
	}
}
