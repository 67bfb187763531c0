package doctor

import (
	"slices"
	"strings"
)

// Severity is how serious a finding is.
type Severity string

// The severities.
const (
	OK      Severity = "ok"
	Warning Severity = "warning" // clicks may get lost under certain conditions
	Fault   Severity = "fault"   // clicks get lost, or a visitor's data is at risk
)

// Finding is the result of one check.
type Finding struct {
	Name     Name     `json:"name"`
	Severity Severity `json:"severity"`
	// Meaning is a sentence that describes the result.
	Meaning string `json:"meaning"`
	// Change is a sentence about the fix. It is empty if Severity is OK.
	Change string `json:"change,omitempty"`
	// Seen is the evidence, without control characters. It may be empty.
	Seen string `json:"seen,omitempty"`
}

// Skipped are checks that were not made.
type Skipped struct {
	Names  []Name `json:"names"`
	Reason string `json:"reason"`
}

// Report is the result of an examination.
type Report struct {
	URL      string `json:"url"`
	Faults   int    `json:"faults"`
	Warnings int    `json:"warnings"`
	// Findings are in the order of [Kinds].
	Findings []Finding `json:"findings"`
	// NotChecked are the checks without a finding.
	NotChecked []Skipped `json:"not_checked"`
}

// record collects results while checks run.
type record struct {
	bad     map[Name]bool
	seen    map[Name][]string
	skipped map[Name]string
	stopped string // why the remaining checks are not made
}

func newRecord() *record {
	return &record{bad: make(map[Name]bool), seen: make(map[Name][]string), skipped: make(map[Name]string)}
}

// note records a result. A check may be noted several times, and fails if one of
// its results does. seen is the evidence of a failure and may be "".
func (r *record) note(name Name, bad bool, seen string) {
	if !bad {
		r.pass(name, "")
		return
	}
	if !r.bad[name] {
		r.bad[name], r.seen[name] = true, nil
	}
	r.add(name, seen)
}

// pass records a result that is good, and its details.
func (r *record) pass(name Name, seen string) {
	if !r.bad[name] {
		r.bad[name] = false
		r.add(name, seen)
	}
}

func (r *record) add(name Name, seen string) {
	if seen = printable(seen); seen != "" && !slices.Contains(r.seen[name], seen) {
		r.seen[name] = append(r.seen[name], seen)
	}
}

// skip records why checks are not made.
func (r *record) skip(reason string, names ...Name) {
	for _, name := range names {
		r.skipped[name] = printable(reason)
	}
}

// report returns the results without those to ignore.
func (r *record) report(url string, ignore []string) Report {
	report := Report{URL: printable(url), Findings: []Finding{}, NotChecked: []Skipped{}}
	for _, k := range Kinds() {
		bad, noted := r.bad[k.Name]
		seen := strings.Join(r.seen[k.Name], "; ")
		switch {
		case slices.Contains(ignore, string(k.Name)):
			report.skip(k.Name, "ignored")
		case !noted && r.skipped[k.Name] != "":
			report.skip(k.Name, r.skipped[k.Name])
		case !noted:
			report.skip(k.Name, r.stopped)
		case bad:
			if k.Severity == Fault {
				report.Faults++
			} else {
				report.Warnings++
			}
			report.Findings = append(report.Findings, Finding{k.Name, k.Severity, plain(k.Meaning), plain(k.Change), seen})
		default:
			report.Findings = append(report.Findings, Finding{k.Name, OK, plain(k.Healthy), "", seen})
		}
	}
	return report
}

func (r *Report) skip(name Name, reason string) {
	for i := range r.NotChecked {
		if r.NotChecked[i].Reason == reason {
			r.NotChecked[i].Names = append(r.NotChecked[i].Names, name)
			return
		}
	}
	r.NotChecked = append(r.NotChecked, Skipped{[]Name{name}, reason})
}
