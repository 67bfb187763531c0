// Package redisstore keeps clicks and links in Redis.
package redisstore
