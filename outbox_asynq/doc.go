// Package asynqoutbox delivers conversions durably with asynq on Redis.
package asynqoutbox
