// Package echo5clickid captures clicks in Echo v5 applications.
package echo5clickid
