package sqldb

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxPrefixLength keeps every name within PostgreSQL's limit of 63 bytes.
const maxPrefixLength = 32

var prefixForm = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// CheckPrefix returns an error unless the names of tables can begin with prefix
// in d, without quotes. The error's text continues the name of the field.
func CheckPrefix(d Database, prefix string) error {
	switch {
	case len(prefix) > maxPrefixLength || !prefixForm.MatchString(prefix):
		return fmt.Errorf("must be 1 to %d characters of [a-z0-9_] and must not begin with a digit", maxPrefixLength)
	case d == DatabaseSQLite && strings.HasPrefix(prefix, "sqlite_"):
		return errors.New("must not begin with sqlite_, which SQLite reserves")
	}
	return nil
}
