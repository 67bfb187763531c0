// Package ginclickid captures clicks in Gin applications.
package ginclickid
