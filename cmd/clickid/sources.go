package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/clickid/clickid/cmd/clickid/internal/sources"
	"github.com/clickid/clickid/cmd/clickid/internal/terminal"
	"github.com/clickid/clickid/interchange"
	"github.com/urfave/cli/v3"
)

func sourcesCommand() *cli.Command {
	flags := func(more ...cli.Flag) []cli.Flag {
		return append([]cli.Flag{
			&cli.StringFlag{Name: "advertiser", Usage: "`ID` of the advertiser", Sources: cli.EnvVars("CLICKID_ADVERTISER")},
			&cli.BoolFlag{Name: "staging", Usage: "use the platform's test system"},
			&cli.StringFlag{Name: "base-url", Usage: "`URL` of the management API, such as that of clickid receive", Sources: cli.EnvVars("CLICKID_BASE_URL")},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		}, more...)
	}
	return &cli.Command{
		Name:  "sources",
		Usage: "register event sources and show their health",
		Description: "The platform refuses events of an event source that is not registered. The API key\n" +
			"is read from CLICKID_API_KEY.",
		Commands: []*cli.Command{
			{
				Name: "list", Usage: "print the registered event sources in the form that sync reads", Flags: flags(),
				Action: listSources,
			},
			{
				Name: "sync", Usage: "register the event sources of a YAML or JSON file", ArgsUsage: "FILE",
				Description: "The differences are printed first. Nothing changes without -yes.",
				Arguments:   []cli.Argument{&cli.StringArg{Name: "file", UsageText: "FILE"}},
				Flags: flags(
					&cli.BoolFlag{Name: "yes", Usage: "make the changes"},
					&cli.BoolFlag{Name: "archive-others", Usage: "archive registered sources that the file does not have; the platform refuses their events from then on"}),
				Action: syncSources,
			},
			{
				Name: "health", Usage: "show when events arrived, and the last error; the exit code is 1 if a source needs attention, or none is registered", Flags: flags(),
				Action: showHealth,
			},
		},
	}
}

func newManager(cmd *cli.Command) (*interchange.Client, error) {
	cfg := interchange.Config{APIKey: os.Getenv("CLICKID_API_KEY"), AdvertiserID: cmd.String("advertiser"), BaseURL: cmd.String("base-url")}
	if err := checkSystem(cmd); err != nil {
		return nil, wrongUsage(err)
	}
	switch {
	case cfg.APIKey == "":
		return nil, wrongUsage(errNoKey)
	case cfg.AdvertiserID == "":
		return nil, wrongUsage(errors.New("-advertiser or CLICKID_ADVERTISER must have the advertiser's ID"))
	case cmd.Bool("staging"):
		cfg.BaseURL = interchange.StagingURL
	}
	client, err := interchange.New(cfg)
	if err != nil {
		return nil, wrongUsage(err)
	}
	return client, nil
}

func listSources(ctx context.Context, cmd *cli.Command) error {
	list, err := registeredSources(ctx, cmd)
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		return printJSON(cmd, list)
	}
	return sources.Write(cmd.Root().Writer, list)
}

func registeredSources(ctx context.Context, cmd *cli.Command) ([]interchange.RegisteredSource, error) {
	client, err := newManager(cmd)
	if err != nil {
		return nil, err
	}
	list, err := client.EventSources(ctx)
	if list == nil {
		list = []interchange.RegisteredSource{} // not null in JSON
	}
	return list, err
}

func syncSources(ctx context.Context, cmd *cli.Command) error {
	wanted, err := readSources(cmd)
	if err != nil {
		return err
	}
	client, err := newManager(cmd)
	if err != nil {
		return err
	}
	registered, err := client.EventSources(ctx)
	if err != nil {
		return err
	}
	differences := sources.Compare(wanted, registered)
	if err := printDifferences(cmd, differences); err != nil {
		return err
	}
	archives := cmd.Bool("archive-others") && len(differences) > len(wanted)
	switch {
	case !sources.Changed(differences) && !archives:
		return nil
	case !cmd.Bool("yes"):
		return errors.New("nothing was changed; -yes makes the changes")
	}
	sync := client.Sync
	if archives {
		sync = client.SyncAndArchive
	}
	results, err := sync(ctx, wanted...)
	for _, r := range results {
		fmt.Fprintf(cmd.Root().ErrWriter, "%s: %s\n", terminal.Text(r.ID), r.Action)
	}
	return err
}

func readSources(cmd *cli.Command) ([]interchange.EventSource, error) {
	name := cmd.StringArg("file")
	var r io.Reader = cmd.Root().Reader
	switch name {
	case "":
		return nil, wrongUsage(errors.New("sync needs the name of a file, or - for standard input"))
	case "-":
	default:
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		r = file
	}
	list, err := sources.Read(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

// printDifferences prints a line for each source and each changed member.
func printDifferences(cmd *cli.Command, list []sources.Difference) error {
	if cmd.Bool("json") {
		return printJSON(cmd, list)
	}
	w := cmd.Root().Writer
	for _, d := range list {
		switch {
		case d.New:
			fmt.Fprintf(w, "+ %q is new\n", d.ID)
		case d.Missing && cmd.Bool("archive-others"):
			fmt.Fprintf(w, "- %q is not in the file and is archived\n", d.ID)
		case d.Missing:
			fmt.Fprintf(w, "  %q is not in the file and stays as it is\n", d.ID)
		case len(d.Changes) > 0:
			fmt.Fprintf(w, "~ %q changes\n", d.ID)
		default:
			fmt.Fprintf(w, "= %q is registered as in the file\n", d.ID)
		}
		for _, c := range d.Changes {
			if d.New {
				fmt.Fprintf(w, "    %s: %q\n", c.Member, c.To)
			} else {
				fmt.Fprintf(w, "    %s: %q -> %q\n", c.Member, c.From, c.To)
			}
		}
	}
	return nil
}

func showHealth(ctx context.Context, cmd *cli.Command) error {
	list, err := registeredSources(ctx, cmd)
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		err = printJSON(cmd, list)
	} else {
		err = printHealth(cmd.Root().Writer, list)
	}
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("the advertiser has no event source; clickid sources sync registers one")
	}
	for _, s := range list {
		if s.Health.Status == interchange.HealthNeedsAttention {
			return fmt.Errorf("the event source %q needs attention", s.ID)
		}
	}
	return nil
}

func printHealth(w io.Writer, list []interchange.RegisteredSource) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SOURCE\tSTATUS\tLAST EVENT\tTYPE\tRECEIVED\tLAST ERROR")
	for _, s := range list {
		h := s.Health
		problem := "-"
		if h.LastError != "" {
			problem = fmt.Sprintf("%s %q", moment(h.LastErrorAt), h.LastError)
		}
		fmt.Fprintf(table, "%q\t%s\t%s\t%s\t%s\t%s\n", s.ID, orDash(string(h.Status)), moment(h.LastEventAt), orDash(h.LastEventType), moment(h.LastEventReceivedAt), problem)
	}
	return table.Flush()
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// orDash returns the platform's text for a terminal, or "-".
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return terminal.Text(s)
}

func printJSON(cmd *cli.Command, v any) error {
	encoder := json.NewEncoder(cmd.Root().Writer)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
