// Command clickid connects ad clicks with conversions in the terminal: it tries,
// tests and operates sites that use the library of the same name.
//
//	go install github.com/clickid/clickid/cmd/clickid@latest
//	clickid demo
//
// The commands are:
//
//	demo       run an ad, a shop and the ad platform's receiver in one process
//	receive    stand in for the ad platform, with a live page and an API for tests
//	send       send one event
//	upload     send the events of a CSV or NDJSON file
//	doctor     find out how a running site loses clicks
//	outbox     show, replay, discard and erase the events of an outbox
//	reconcile  compare what the outbox delivered with what the platform counted
//	sources    register event sources and show their health
//	keygen     print keys for the cookie store
//
// "clickid help send" describes the flags of a command and the environment
// variables that replace them. The API key is only read from CLICKID_API_KEY.
//
// It exits with 0 on success, with 1 after a failure, and with 2 after wrong
// usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	_ "time/tzdata" // for systems without a database of time zones

	"github.com/clickid/clickid/cmd/clickid/internal/terminal"
	"github.com/redis/go-redis/v9/logging"
	"github.com/urfave/cli/v3"
)

func main() {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the command at once
	logging.Disable()            // an error of Redis is printed once, as that of the command
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// run runs the command and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	printed := &checkedWriter{w: stdout}
	root := newCommand(printed, stderr)
	root.Reader = &interruptible{ctx, os.Stdin}
	err := checkBools(root, args[1:])
	if err == nil {
		err = root.Run(ctx, args)
	}
	if err == nil && printed.err != nil {
		err = &failure{printed.err} // of help, and of lines that are printed in passing
	}
	if err == nil {
		return 0
	}
	lines := strings.Split(strings.ReplaceAll(err.Error(), "\n\t", " "), "\n") // PostgreSQL's have a line for each host
	for i, line := range lines {
		lines[i] = terminal.Text(line)
	}
	fmt.Fprintf(stderr, "clickid: %s\n", strings.Join(lines, "\n"))
	if errors.As(err, new(*failure)) {
		return exitFailed
	}
	fmt.Fprintln(stderr, "Run \"clickid help\" for usage.")
	return exitUsage
}

// checkedWriter keeps the first error of standard output.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if c.err == nil {
		c.err = err
	}
	return n, err
}

// interruptible is a standard input whose reading ends with a context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	type read struct {
		n   int
		err error
	}
	buffer, done := make([]byte, len(p)), make(chan read, 1)
	go func() {
		n, err := i.r.Read(buffer)
		done <- read{n, err}
	}()
	select {
	case r := <-done:
		return copy(p, buffer[:r.n]), r.err
	case <-i.ctx.Done():
		return 0, errors.New("interrupted")
	}
}

// failure is an error of the operation. Any other error is one of usage.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// usage is an error of usage that an action finds.
type usage struct{ err error }

func wrongUsage(err error) error { return &usage{err} }

func (u *usage) Error() string { return u.err.Error() }
func (u *usage) Unwrap() error { return u.err }

func newCommand(stdout, stderr io.Writer) *cli.Command {
	root := &cli.Command{
		Name:           "clickid",
		Version:        version(),
		Usage:          "connect ad clicks with conversions",
		Description:    "The exit code is 0 on success, 1 after a failure, and 2 after wrong usage.",
		Writer:         stdout,
		ErrWriter:      stderr,
		Commands:       []*cli.Command{demoCommand(), receiveCommand(), sendCommand(), uploadCommand(), doctorCommand(), outboxCommand(), reconcileCommand(), sourcesCommand(), keygenCommand()},
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run returns the exit code
	}
	complete(root)
	return root
}

// version returns the version of the module that the command was built from, or
// "" if the build does not know it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return info.Main.Version
}

// complete sets what all commands have in common.
func complete(cmd *cli.Command) {
	cmd.OnUsageError = usageError
	cmd.HideHelpCommand = len(cmd.Arguments) > 0 // "help" is an argument such as a file
	checkFlags(cmd)
	action := cmd.Action
	if action == nil {
		action = func(_ context.Context, cmd *cli.Command) error { return cli.ShowSubcommandHelp(cmd) }
	}
	unexpected := "unexpected argument"
	if len(cmd.Commands) > 0 {
		unexpected = "unknown command"
	}
	cmd.Action = func(ctx context.Context, cmd *cli.Command) error {
		if cmd.Args().Present() {
			err := fmt.Errorf("%s %q%s", unexpected, cmd.Args().First(), didYouMean(cmd.Args().First(), commandNames(cmd), ""))
			if cmd != cmd.Root() {
				err = fmt.Errorf("%s: %w", cmd.Name, err)
			}
			return err
		}
		err := action(ctx, cmd)
		if err == nil || errors.As(err, new(*usage)) {
			return err
		}
		return &failure{err}
	}
	for _, sub := range cmd.Commands {
		complete(sub)
	}
}

// commandNames returns the names of the commands below one, without that of help.
func commandNames(cmd *cli.Command) (names []string) {
	for _, sub := range cmd.VisibleCommands() {
		names = append(names, sub.Name)
	}
	return names
}
