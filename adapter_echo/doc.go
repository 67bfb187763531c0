// Package echoclickid captures clicks in Echo v4 applications.
package echoclickid
