// Package sqlc contains the queries of the shop that uses sqlc.
package sqlc

//go:generate go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate
