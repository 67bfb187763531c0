package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// invalidValue matches the library's error for a value that Go cannot parse, up to
// Go's own text.
var invalidValue = regexp.MustCompile(`(?s)^(invalid value ".*" for flag -(\S+): )(strconv\.|time: |parse error$)`)

// usageError returns an error that states what a flag takes instead of Go's text.
// By default the library prints the whole help for every mistyped flag.
func usageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		hint := didYouMean(name, flagNames(cmd), "-")
		if hint == "" && len(cmd.Arguments) > 0 {
			hint = "; write -- before an argument that begins with a dash"
		}
		return fmt.Errorf("%w%s", err, hint)
	}
	parts := invalidValue.FindStringSubmatch(err.Error())
	if parts == nil {
		return err
	}
	for _, f := range cmd.Flags {
		if !slices.Contains(f.Names(), parts[2]) {
			continue
		}
		switch f.(type) {
		case *cli.IntFlag:
			if strings.HasSuffix(err.Error(), "out of range") {
				return errors.New(parts[1] + "must have fewer digits")
			}
			return errors.New(parts[1] + "must be a whole number, such as 10")
		case *cli.FloatFlag:
			return errors.New(parts[1] + "must be a number, such as 2.5")
		case *cli.DurationFlag:
			return errors.New(parts[1] + "must be a duration with its unit, such as 30s or 36h")
		case *cli.BoolFlag:
			return errors.New(parts[1] + "must be true or false")
		}
	}
	return err
}

// checkFlags completes the flags of a command. A flag whose value is missing does
// not take the next flag as its value, such as -dry-run. The values of a repeatable
// flag may have commas, and 010 is ten.
func checkFlags(cmd *cli.Command) {
	cmd.DisableSliceFlagSeparator = true
	names := flagNames(cmd)
	isFlag := func(value string) error {
		name, _, _ := strings.Cut(value, "=")
		if dashes := len(name) - len(strings.TrimLeft(name, "-")); (dashes == 1 || dashes == 2) && slices.Contains(names, name[dashes:]) {
			return errors.New("must be a value, not the next flag")
		}
		return nil
	}
	for _, f := range cmd.Flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			valid := f.Validator
			f.Validator = func(value string) error {
				if err := isFlag(value); err != nil || valid == nil {
					return err
				}
				return valid(value)
			}
		case *cli.StringSliceFlag:
			f.Validator = func(values []string) error { return isFlag(values[len(values)-1]) }
		case *cli.IntFlag:
			f.Config.Base = 10
		}
	}
}

// checkBools returns an error for a flag such as -yes=, whose value a script has
// lost. The library takes it for -yes.
func checkBools(cmd *cli.Command, args []string) error {
	for i, arg := range args {
		if sub := cmd.Command(arg); sub != nil {
			return checkBools(sub, args[i+1:])
		}
		if arg == "--" {
			return nil
		}
		name, empty := strings.CutSuffix(strings.TrimSpace(arg), "=")
		if !empty || !strings.HasPrefix(name, "-") {
			continue
		}
		name = strings.TrimPrefix(name[1:], "-")
		for _, f := range cmd.Flags {
			if _, ok := f.(*cli.BoolFlag); ok && slices.Contains(f.Names(), name) {
				return fmt.Errorf("invalid value \"\" for flag -%s: must be true or false", name)
			}
		}
	}
	return nil
}

// flagNames returns the names of the command's flags.
func flagNames(cmd *cli.Command) []string {
	names := []string{"help"}
	for _, f := range cmd.Flags {
		names = append(names, f.Names()...)
	}
	return names
}

// didYouMean suggests the name that a mistyped one resembles, or returns "".
func didYouMean(typed string, names []string, prefix string) string {
	best, least := "", min(2, len(typed)/2)
	for _, name := range names {
		if d := distance(typed, name); d <= least && (best == "" || d < least) {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", prefix+best)
}

// distance returns how many characters must be inserted, deleted, replaced or
// exchanged with the next one to make b of a.
func distance(a, b string) int {
	var rows [3][]int // the two earlier ones and the current one
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	for j := range rows[2] {
		rows[2][j] = j
	}
	for i := range len(a) {
		rows[0], rows[1], rows[2] = rows[1], rows[2], rows[0]
		rows[2][0] = i + 1
		for j := range len(b) {
			d := min(rows[1][j+1], rows[2][j]) + 1
			if a[i] == b[j] {
				d = min(d, rows[1][j])
			} else {
				d = min(d, rows[1][j]+1)
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, rows[0][j-1]+1)
			}
			rows[2][j+1] = d
		}
	}
	return rows[2][len(b)]
}
