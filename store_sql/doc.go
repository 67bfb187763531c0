// Package sqlstore keeps clicks and links in PostgreSQL, MySQL, MariaDB or SQLite.
package sqlstore
