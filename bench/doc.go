// Package bench compares the library with its peers and measures its stores and outboxes.
package bench
