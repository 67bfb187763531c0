package sqldb

import (
	"net/url"
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

// SQLiteSource returns the data source name of modernc.org/sqlite for the file at
// path. SQLite itself reads a part of a path with a "?" as options.
func SQLiteSource(path string, options url.Values) string {
	if strings.HasPrefix(path, "//") {
		path = "/" + strings.TrimLeft(path, "/") // SQLite takes //a for a host
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: options.Encode()}).String()
}

// IsSQLiteURI reports whether SQLite takes a name for a URI. In place of a path it
// would name a file of that name, or another one.
func IsSQLiteURI(name string) bool { return strings.HasPrefix(name, "file:") }
