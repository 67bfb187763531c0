// Package e2e contains end-to-end tests in browsers, through crashes and with
// failing servers.
package e2e
