package main

import (
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// A habit is a turn of phrase that is fine now and then and tiresome when it
// is frequent. Its limit is the highest frequency in oauth2, river and
// net/http, counted for each 10,000 words of comments.
type habit struct {
	name    string
	pattern *regexp.Regexp
	limit   float64
}

var habits = []habit{
	{"say", regexp.MustCompile(`(?i)\b(?:say|says|said|saying)\b`), 2.7},
	{"What-", regexp.MustCompile(`(?:^\s*|[.?!]\s+)What\b`), 0.1},
	{"alone", regexp.MustCompile(`(?i)\balone\b`), 0.8},
	{"is-no", regexp.MustCompile(`(?i)\bis\s+no\b`), 4.7},
	{"which", regexp.MustCompile(`,\s+which\b`), 15},
	{"nobody", regexp.MustCompile(`(?i)\b(?:nobody|somebody|whoever)\b`), 1.6},
}

// A count is how many words there are and how often each habit occurs in them.
type count struct {
	words int
	found []int
}

func (c count) frequency(habit int) float64 {
	if c.words == 0 {
		return 0
	}
	return float64(c.found[habit]) * 10_000 / float64(c.words)
}

// countComments returns the count of each folder with Go files and the total.
func countComments(texts []text) (folders map[string]count, total count) {
	folders = map[string]count{}
	total.found = make([]int, len(habits))
	for _, t := range texts {
		if t.kind != kindComment {
			continue
		}
		folder := path.Dir(t.file)
		c, ok := folders[folder]
		if !ok {
			c.found = make([]int, len(habits))
		}
		n := len(strings.Fields(t.body))
		c.words += n
		total.words += n
		for i, h := range habits {
			found := len(h.pattern.FindAllString(t.body, -1))
			c.found[i] += found
			total.found[i] += found
		}
		folders[folder] = c
	}
	return folders, total
}

func printCounts(w io.Writer, texts []text) {
	folders, total := countComments(texts)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "words\t")
	for _, h := range habits {
		fmt.Fprintf(table, "%s\t", h.name)
	}
	fmt.Fprintln(table, "  per 10,000 words of comments")
	row := func(name string, c count) {
		fmt.Fprintf(table, "%d\t", c.words)
		for i := range habits {
			fmt.Fprintf(table, "%.1f\t", c.frequency(i))
		}
		fmt.Fprintf(table, "  %s\n", name)
	}
	var names []string
	for name := range folders {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		row(name, folders[name])
	}
	row("total", total)
	fmt.Fprint(table, "limit\t")
	for _, h := range habits {
		fmt.Fprintf(table, "%.1f\t", h.limit)
	}
	fmt.Fprintln(table, "  the highest of oauth2, river and net/http")
	table.Flush()
}
