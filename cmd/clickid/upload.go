package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/cmd/clickid/internal/fields"
	"github.com/clickid/clickid/cmd/clickid/internal/terminal"
	"github.com/clickid/clickid/cmd/clickid/internal/upload"
	"github.com/urfave/cli/v3"
)

func uploadCommand() *cli.Command {
	flags := append(platformFlags(),
		&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the file: csv or ndjson", DefaultText: "recognised", Validator: oneOf(upload.FormatCSV, upload.FormatNDJSON)},
		&cli.StringFlag{Name: "encoding", Usage: "`ENCODING` of the file: " + strings.Join(upload.Encodings(), ", "), DefaultText: "UTF-8, or UTF-16 with a byte order mark", Validator: oneOf(upload.Encodings()...)},
		&cli.StringFlag{Name: "delimiter", Usage: "`CHARACTER` between columns", DefaultText: "recognised", Validator: checkDelimiter},
		&cli.StringSliceFlag{Name: "map", Usage: "the column of a field, as `FIELD=COLUMN`; repeatable"},
		&cli.StringSliceFlag{Name: "ignore", Usage: "leave out the `COLUMN`; repeatable"},
		&cli.StringFlag{Name: "type", Usage: "`TYPE` of rows without one", Value: string(clickid.Purchase)},
		&cli.StringFlag{Name: "currency", Usage: "`CODE` of the currency of rows without one"},
		&cli.StringFlag{Name: "source", Usage: "`PLACE` of rows without one", Value: string(clickid.SourceOffline)},
		locationFlag(),
		&cli.StringFlag{Name: "time-layout", Usage: "`LAYOUT` of times, as in Go: 02.01.2006 15:04", DefaultText: "ISO 8601"},
		&cli.BoolFlag{Name: "hash", Usage: "hash the columns with plain e-mail addresses and phone numbers"},
		&cli.StringFlag{Name: "region", Usage: "`COUNTRY` of phone numbers without a country code, such as DE"},
		&cli.BoolFlag{Name: "dry-run", Usage: "check the file without sending"},
		&cli.BoolFlag{Name: "skip-invalid", Usage: "send the valid rows of a file that has invalid ones"},
		&cli.StringFlag{Name: "rejects", Usage: "write rows that are not sent to `FILE`", DefaultText: "the file's name with .rejects.csv"},
		&cli.StringFlag{Name: "checkpoint", Usage: "keep the progress in `FILE`", DefaultText: "the file's name with .checkpoint"},
		&cli.BoolFlag{Name: "restart", Usage: "send the whole file, whatever the checkpoint holds"},
		&cli.BoolFlag{Name: "json", Usage: "print the numbers of rows as JSON"},
	)
	return &cli.Command{
		Name:      "upload",
		Usage:     "send the events of a CSV or NDJSON file",
		ArgsUsage: "FILE",
		Arguments: []cli.Argument{&cli.StringArg{Name: "file", UsageText: "FILE"}},
		Description: "Every row is checked before the first one is sent. If one is invalid, nothing is\n" +
			"sent, unless -skip-invalid is set; the rejects file lists line, field and reason.\n" +
			"An interrupted upload continues when the same command runs again, and counts no\n" +
			"event twice. \"-\" reads standard input. gzip and zstd are recognised.\n\n" +
			"A CSV file begins with the names of its columns. Names such as order_number,\n" +
			"\"Order Number\" or event-id are recognised; -map decides otherwise. The fields:\n\n" + fieldList() + "\n" +
			"A line of NDJSON is an event in its JSON form. The API key is read from\n" +
			"CLICKID_API_KEY.",
		Flags: flags,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			cfg, err := uploadConfig(cmd)
			if err != nil {
				return wrongUsage(err)
			}
			if cfg.Input, err = upload.Open(cmd.StringArg("file"), cmd.Root().Reader); err != nil {
				return err
			}
			defer cfg.Input.Close()
			cfg.Input.Encoding = cmd.String("encoding")
			totals, err := cfg.Run(ctx)
			if totals.Rows == 0 && err != nil {
				return err
			}
			return errors.Join(err, printTotals(cmd, totals))
		},
	}
}

func fieldList() string {
	var b strings.Builder
	for _, f := range fields.All() {
		fmt.Fprintf(&b, "  %-13s %s\n", f.Name, strings.ReplaceAll(f.Usage, "`", ""))
	}
	return b.String()
}

func checkDelimiter(s string) error {
	if s == `\t` {
		return nil
	}
	if len(s) != 1 || strings.ContainsAny(s, "\"\r\n") {
		return errors.New(`must be one character, such as ; or \t`)
	}
	return nil
}

// Sizes of the batches between two checkpoints. A batch of one request for each
// event is smaller, so that less is repeated after a crash.
const (
	batchOfRequests = 100
	batchOfEvents   = 5000
)

func uploadConfig(cmd *cli.Command) (c upload.Config, err error) {
	name := cmd.StringArg("file")
	if name == "" {
		return c, errors.New("upload needs the name of a file, or - for standard input")
	}
	c = upload.Config{
		Format: cmd.String("format"), Ignore: cmd.StringSlice("ignore"), DryRun: cmd.Bool("dry-run"),
		SkipInvalid: cmd.Bool("skip-invalid"), Restart: cmd.Bool("restart"), Batch: batchOfEvents,
		Checkpoint: cmd.String("checkpoint"), Rejects: cmd.String("rejects"),
		Progress: newProgress(cmd.Root().ErrWriter),
		Fields: fields.Options{
			TimeLayout: cmd.String("time-layout"), Region: cmd.String("region"), Hash: cmd.Bool("hash"),
			Type: clickid.EventType(cmd.String("type")), Currency: cmd.String("currency"), Source: clickid.Source(cmd.String("source")),
		},
	}
	if name == "-" {
		name = "stdin" // keeps no checkpoint by itself
	} else if c.Checkpoint == "" {
		c.Checkpoint = name + ".checkpoint"
	}
	if c.Rejects == "" {
		c.Rejects = name + ".rejects.csv"
	}
	if sameFile(c.Rejects, name) || sameFile(c.Checkpoint, name) || sameFile(c.Rejects, c.Checkpoint) ||
		sameFile(upload.Partial(c.Rejects), name) || sameFile(upload.Partial(c.Rejects), c.Checkpoint) {
		return c, errors.New("the file, -rejects and -checkpoint must be different files")
	}
	if !replaceable(c.Rejects) || !replaceable(c.Checkpoint) {
		return c, errors.New("-rejects and -checkpoint must be regular files or new ones, not devices, folders or links")
	}
	switch delimiter := cmd.String("delimiter"); {
	case delimiter == `\t`:
		c.Delimiter = '\t'
	case delimiter != "":
		c.Delimiter = rune(delimiter[0])
	}
	if c.Map, err = mapping(cmd.StringSlice("map")); err != nil {
		return c, err
	}
	if c.Fields.Location, err = location(cmd.String("timezone")); err != nil {
		return c, err
	}
	if cmd.String("dialect") == dialectECAPI {
		c.Batch = batchOfRequests
	}
	c.Platform, err = newClient(cmd, func(cfg *capi.Config) {
		cfg.Logger = slog.New(slog.DiscardHandler)
		cfg.Hook = retries(cmd.Root().ErrWriter)
		waitForPlatform(cfg)
	})
	return c, err
}

// waitForPlatform configures a client for an upload, since that can wait.
func waitForPlatform(cfg *capi.Config) {
	cfg.Timeout = 30 * time.Second
	cfg.TotalTimeout = 15 * time.Minute
	cfg.Retry = capi.Retry{Attempts: 20, IgnoreHanging: true}
}

// replaceable reports whether another file can take the place of a path. In the
// place of /dev/null it would break other programs.
func replaceable(path string) bool {
	info, err := os.Lstat(path)
	return err != nil || info.Mode().IsRegular()
}

// sameFile reports whether two paths are those of one file, which need not exist.
func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(infoA, infoB)
	}
	return a != "" && b != "" && filepath.Clean(a) == filepath.Clean(b)
}

// retries returns a hook that prints why requests fail, each reason once: an
// upload repeats them for minutes.
func retries(w io.Writer) func(context.Context, capi.Attempt) {
	var (
		mu   sync.Mutex
		last string
	)
	return func(_ context.Context, a capi.Attempt) {
		mu.Lock()
		defer mu.Unlock()
		text := ""
		if a.Err != nil && !errors.Is(a.Err, context.Canceled) { // the end of the command has a message of its own
			text = a.Err.Error()
		}
		if text != "" && text != last {
			fmt.Fprintf(w, "request failed: %s\n", text)
		}
		last = text
	}
}

// mapping returns the columns by field.
func mapping(pairs []string) (map[string]string, error) {
	columns := make(map[string]string)
	for _, pair := range pairs {
		name, column, ok := strings.Cut(pair, "=")
		field, known := fields.Find(name)
		switch {
		case !ok || column == "":
			return nil, errors.New("-map must have the form FIELD=COLUMN")
		case !known:
			return nil, fmt.Errorf("-map: unknown field %q; \"clickid upload -h\" lists the fields", name)
		case columns[field.Name] != "":
			return nil, fmt.Errorf("-map: the field %s has two columns", field.Name)
		}
		columns[field.Name] = column
	}
	return columns, nil
}

func printTotals(cmd *cli.Command, t upload.Totals) error {
	w := cmd.Root().Writer
	if cmd.Bool("json") {
		return printJSON(cmd, t)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d rows: %d accepted, %d rejected by the platform, %d invalid, %d with a warning\n",
		t.Rows, t.Accepted, t.Rejected, t.Invalid, t.Warnings)
	for _, l := range t.LeftOut {
		fmt.Fprintf(&text, "warning: line %d: %s (%d rows)\n", l.Line, terminal.Text(l.Reason), l.Rows)
	}
	for _, warning := range t.Platform {
		fmt.Fprintf(&text, "warning of the platform: %s\n", terminal.Text(warning))
	}
	_, err := io.WriteString(w, text.String())
	return err
}
