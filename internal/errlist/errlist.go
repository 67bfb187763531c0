// Package errlist joins many errors into one with a short text.
package errlist

import (
	"fmt"
	"io"
	"strings"
)

// Join returns nil for no errors, a single error as it is, and otherwise an
// error that [errors.Is] and [errors.As] search as a whole. Errors that Join
// returned count as the errors in them.
func Join(errs []error) error {
	var all []error
	for _, err := range errs {
		if l, ok := err.(*list); ok {
			all = append(all, l.all...)
		} else {
			all = append(all, err)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return &list{all}
}

// maxTexts is the number of different texts in the text of a list.
const maxTexts = 10

type list struct{ all []error }

// Error returns the first different texts and the number of the others.
func (l *list) Error() string {
	var b strings.Builder
	seen := make(map[string]bool, len(l.all))
	for _, err := range l.all {
		text := err.Error()
		if seen[text] {
			continue
		}
		seen[text] = true
		if len(seen) > maxTexts {
			continue
		}
		if len(seen) > 1 {
			b.WriteByte('\n')
		}
		b.WriteString(text)
	}
	if more := len(seen) - maxTexts; more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return b.String()
}

// Unwrap returns all errors.
func (l *list) Unwrap() []error { return l.all }

// Format prints Error for every verb, also for %#v.
func (l *list) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.Error()) }
