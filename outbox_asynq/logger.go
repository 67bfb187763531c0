package asynqoutbox

import (
	"context"
	"fmt"
	"log/slog"
)

// engineLogger passes asynq's words on to slog. They name tasks by their
// identity and hold no payload.
type engineLogger struct{ logger *slog.Logger }

func (l engineLogger) Debug(args ...any) { l.log(slog.LevelDebug, args) }
func (l engineLogger) Info(args ...any)  { l.log(slog.LevelInfo, args) }
func (l engineLogger) Warn(args ...any)  { l.log(slog.LevelWarn, args) }
func (l engineLogger) Error(args ...any) { l.log(slog.LevelError, args) }

// Fatal logs an error: a library ends no process.
func (l engineLogger) Fatal(args ...any) { l.log(slog.LevelError, args) }

func (l engineLogger) log(level slog.Level, args []any) {
	l.logger.LogAttrs(context.Background(), level, "clickid: asynq: "+fmt.Sprint(args...))
}
