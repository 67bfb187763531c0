// Package examples holds complete small shops, one per router.
package examples
