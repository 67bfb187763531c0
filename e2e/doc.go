// Package e2e tests the library as it is used: in a browser, through crashes and with broken servers.
package e2e
