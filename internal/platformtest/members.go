package platformtest

import (
	"os"
	"strings"
	"testing"
)

// Member is a row of a table in docs/dialects.md.
type Member struct {
	// Name is the member's path in the contract.
	Name string
	// Field is the library's field or setting, such as "`Event.ID`", or text.
	Field string
	// Note is the last column.
	Note string
}

// DocumentedMembers returns the rows of the table below a heading of
// docs/dialects.md. The test must be in a folder of the root module.
func DocumentedMembers(t testing.TB, heading string) []Member {
	t.Helper()
	text, err := os.ReadFile("../docs/dialects.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n### "+heading+"\n")
	if !found {
		t.Fatalf("docs/dialects.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var members []Member
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || !strings.HasPrefix(strings.TrimSpace(cells[0]), "`") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		members = append(members, Member{Name: strings.Trim(cells[0], "`"), Field: cells[1], Note: cells[2]})
	}
	return members
}
