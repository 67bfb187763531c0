// Package riveroutbox delivers conversions durably with River on PostgreSQL.
package riveroutbox
