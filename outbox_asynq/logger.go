package asynqoutbox

import (
	"context"
	"fmt"
	"log/slog"
)

// asynqLogger passes asynq's log messages to slog. They contain the identities
// of tasks but no payload.
type asynqLogger struct{ logger *slog.Logger }

func (l asynqLogger) Debug(args ...any) { l.log(slog.LevelDebug, args) }
func (l asynqLogger) Info(args ...any)  { l.log(slog.LevelInfo, args) }
func (l asynqLogger) Warn(args ...any)  { l.log(slog.LevelWarn, args) }
func (l asynqLogger) Error(args ...any) { l.log(slog.LevelError, args) }

// Fatal logs an error. It does not end the process.
func (l asynqLogger) Fatal(args ...any) { l.log(slog.LevelError, args) }

func (l asynqLogger) log(level slog.Level, args []any) {
	l.logger.LogAttrs(context.Background(), level, "asynqoutbox: asynq: "+fmt.Sprint(args...))
}
