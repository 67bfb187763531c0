package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A phrase is what is not written here.
type phrase struct {
	pattern *regexp.Regexp
	inNames bool   // also looked for in the names that Go code declares
	instead string // what to write
}

// An allowance is a legitimate use of a phrase.
type allowance struct {
	prefix  string // of the file's path; empty for all files
	pattern *regexp.Regexp
	source  string
	used    bool
}

// lint returns a finding for each phrase that no allowance covers. For the
// whole repository it also reports habits above their limit and allowances
// that cover nothing.
func lint(texts []text, phrasesFile, allowedFile string, whole bool) ([]string, error) {
	phrases, err := parsePhrases(phrasesFile)
	if err != nil {
		return nil, fmt.Errorf("phrases.txt: %w", err)
	}
	allowances, err := parseAllowances(allowedFile)
	if err != nil {
		return nil, fmt.Errorf("allowed.txt: %w", err)
	}

	var findings []string
	for _, t := range texts {
		allowed := allowedSpans(t, allowances)
		for _, p := range phrases {
			if t.kind == kindName && !p.inNames {
				continue
			}
			for _, at := range p.pattern.FindAllStringIndex(t.body, -1) {
				if within(at, allowed) {
					continue
				}
				found := t.body[at[0]:at[1]]
				start := at[0] + len(found) - len(strings.TrimLeft(found, ".?!"+space))
				findings = append(findings, fmt.Sprintf("%s:%d: %s: %q: %s",
					t.file, t.line+strings.Count(t.body[:start], "\n"), t.kind, around(t.body, at), p.instead))
			}
		}
	}
	if !whole {
		return findings, nil
	}
	for _, a := range allowances {
		if !a.used {
			findings = append(findings, fmt.Sprintf("scripts/prose/allowed.txt: %q covers nothing, remove it", a.source))
		}
	}
	_, total := countComments(texts)
	for i, h := range habits {
		if f := total.frequency(i); f > h.limit {
			findings = append(findings, fmt.Sprintf("%q is in %d comments, %.1f for each 10,000 words, limit %.1f", h.name, total.found[i], f, h.limit))
		}
	}
	return findings, nil
}

// allowedSpans returns the parts of the text that allowances cover, and marks
// these allowances as used.
func allowedSpans(t text, allowances []*allowance) [][]int {
	var spans [][]int
	for _, a := range allowances {
		if !strings.HasPrefix(t.file, a.prefix) {
			continue
		}
		found := a.pattern.FindAllStringIndex(t.body, -1)
		a.used = a.used || len(found) > 0
		spans = append(spans, found...)
	}
	return spans
}

func within(at []int, spans [][]int) bool {
	for _, s := range spans {
		if s[0] <= at[0] && at[1] <= s[1] {
			return true
		}
	}
	return false
}

// around returns the match with a few words on both sides.
func around(body string, at []int) string {
	low, high := at[0], at[1]
	for range 4 {
		low = strings.LastIndexAny(strings.TrimRight(body[:low], space), space) + 1
	}
	for range 4 {
		next := high + len(body[high:]) - len(strings.TrimLeft(body[high:], space))
		length := strings.IndexAny(body[next:], space)
		if length < 0 {
			high = len(body)
			break
		}
		high = next + length
	}
	return strings.Join(strings.Fields(body[low:high]), " ")
}

const space = " \t\r\n"

// parsePhrases reads lines of the form "pattern <tab> name or text <tab> instead".
func parsePhrases(file string) ([]phrase, error) {
	var phrases []phrase
	for _, line := range entries(file) {
		fields := strings.Split(line, "\t")
		if len(fields) != 3 || fields[1] != "name" && fields[1] != "text" {
			return nil, fmt.Errorf("%q is not of the form: pattern, name or text, instead", line)
		}
		pattern, err := compile(fields[0])
		if err != nil {
			return nil, err
		}
		phrases = append(phrases, phrase{pattern, fields[1] == "name", fields[2]})
	}
	return phrases, nil
}

// parseAllowances reads lines of the form "path prefix or * <tab> pattern".
func parseAllowances(file string) ([]*allowance, error) {
	var allowances []*allowance
	for _, line := range entries(file) {
		prefix, source, ok := strings.Cut(line, "\t")
		if !ok || prefix == "" {
			return nil, fmt.Errorf("%q is not of the form: path prefix or *, pattern", line)
		}
		if prefix == "*" {
			prefix = ""
		}
		pattern, err := compile(source)
		if err != nil {
			return nil, err
		}
		allowances = append(allowances, &allowance{prefix: prefix, pattern: pattern, source: line})
	}
	return allowances, nil
}

// entries returns the lines that are neither empty nor comments.
func entries(file string) []string {
	var lines []string
	for line := range strings.Lines(file) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// compile makes a pattern that ignores case and in which a space also matches a
// line break with its comment marker.
func compile(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile("(?i)" + strings.ReplaceAll(pattern, " ", `\s+(?:(?://|#|--)\s*)?`))
}
