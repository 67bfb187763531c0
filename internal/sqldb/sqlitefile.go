package sqldb

import (
	"os"
	"strings"
)

// InMemory reports whether a path or a data source name of SQLite names a
// database in memory or no database.
func InMemory(name string) bool {
	return name == "" || strings.Contains(name, ":memory:") || strings.Contains(name, "mode=memory")
}

// CreateSQLiteFile creates an empty database file that only its owner can read,
// unless the file exists. SQLite itself would let every user read it.
func CreateSQLiteFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}
