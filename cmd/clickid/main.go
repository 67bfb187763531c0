// Command clickid keeps ad clicks and conversions together: it shows the
// library at work and makes what it needs.
//
// It exits with 0 when it did what was asked, 1 when something failed, and 2
// when it was called wrongly.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// run runs the command and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := newCommand(stdout, stderr).Run(ctx, args)
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "clickid: %v\n", err)
	if errors.As(err, new(*failure)) {
		return exitFailed
	}
	fmt.Fprintln(stderr, "Run clickid help to see how it is used.")
	return exitUsage
}

// failure is an error of what was asked for. Any other error is one of asking.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func newCommand(stdout, stderr io.Writer) *cli.Command {
	root := &cli.Command{
		Name:           "clickid",
		Usage:          "keep ad clicks and conversions together",
		Writer:         stdout,
		ErrWriter:      stderr,
		Commands:       []*cli.Command{demoCommand(), keygenCommand()},
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run returns the exit code
		OnUsageError:   usageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			if name := cmd.Args().First(); name != "" {
				return fmt.Errorf("there is no command %q", name)
			}
			return cli.ShowRootCommandHelp(cmd)
		},
	}
	for _, sub := range root.Commands {
		sub.OnUsageError = usageError
		action := sub.Action
		sub.Action = func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				return fmt.Errorf("%s takes no argument, and got %q", cmd.Name, cmd.Args().First())
			}
			if err := action(ctx, cmd); err != nil {
				return &failure{err}
			}
			return nil
		}
	}
	return root
}

// usageError keeps the library from printing the whole help for a typing error.
func usageError(_ context.Context, _ *cli.Command, err error, _ bool) error { return err }
