// Package sqliteoutbox delivers conversions durably with River on SQLite.
package sqliteoutbox
