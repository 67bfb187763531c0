package doctor

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/clickid/clickid/cmd/clickid/internal/terminal"
)

// maxSeen is the longest text of a server in a finding, in bytes.
const maxSeen = 300

// printable returns the text of a server for a terminal.
func printable(s string) string {
	if len(s) > maxSeen {
		s = strings.ToValidUTF8(s[:maxSeen], "") + "…"
	}
	return terminal.Text(s)
}

// place returns a URL without the query, which may be personal.
func place(u *url.URL) string {
	s := u.Scheme + "://" + u.Host + cmp.Or(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		s += "?…"
	}
	return s
}

// width is the width of a column of text.
const width = 90

// Print writes the report as a table: first the problems and their fixes, then
// the checks that pass.
func (r Report) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.URL)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, severity := range []Severity{Fault, Warning, OK} {
		for _, f := range r.Findings {
			if f.Severity != severity {
				continue
			}
			lines := wrap(f.Meaning)
			if f.Seen != "" {
				lines = append(lines, wrap("seen: "+f.Seen)...)
			}
			if f.Change != "" {
				lines = append(lines, wrap("change: "+f.Change)...)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", f.Severity, f.Name, strings.Join(lines, "\n\t\t"))
		}
	}
	_ = table.Flush() // to a strings.Builder
	for _, s := range r.NotChecked {
		list := make([]string, len(s.Names))
		for i, name := range s.Names {
			list[i] = string(name)
		}
		fmt.Fprintf(&b, "\nnot checked (%s):\n  %s\n", s.Reason, strings.Join(wrap(strings.Join(list, ", ")), "\n  "))
	}
	fmt.Fprintf(&b, "\n%s\n", r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap divides a text into lines.
func wrap(s string) []string {
	lines := []string{""}
	for _, word := range strings.Fields(s) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, word)
		default:
			*last += " " + word
		}
	}
	return lines
}

// Summary returns the numbers of findings.
func (r Report) Summary() string {
	return fmt.Sprintf("%s, %s, %d ok", count(r.Faults, "fault"), count(r.Warnings, "warning"), len(r.Findings)-r.Faults-r.Warnings)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// plain removes the marks of code, which are for Markdown.
func plain(s string) string { return strings.ReplaceAll(s, "`", "") }
