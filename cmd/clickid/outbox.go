package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/cmd/clickid/internal/outboxes"
	"github.com/clickid/clickid/cmd/clickid/internal/terminal"
	"github.com/clickid/clickid/outbox"
	"github.com/urfave/cli/v3"
)

// outboxTimeout bounds a command.
const outboxTimeout = 5 * time.Minute

func outboxCommand() *cli.Command {
	return &cli.Command{
		Name:  "outbox",
		Usage: "show, replay, discard and erase the events of an outbox",
		Description: "-outbox is the address of the queue: postgres://… for River, redis://… for asynq,\n" +
			"or the path of a SQLite file. If an outbox table feeds the queue, -table is the\n" +
			"address of its database: postgres://…, mysql://…, user:password@tcp(host:3306)/name\n" +
			"or a SQLite file. The destination is part of an event's identity, so the\n" +
			"flags name it as in the shop's configuration. No API key is needed.",
		Commands: []*cli.Command{
			{
				Name: "stats", Usage: "count the events", Flags: outboxFlags(),
				Action: withOutbox(showStats),
			},
			{
				Name: "failed", Usage: "list the dead letters, the latest first",
				Flags: outboxFlags(
					&cli.IntFlag{Name: "limit", Usage: "list at most `NUMBER`", Value: 100, Validator: atLeast(1)},
					&cli.IntFlag{Name: "offset", Usage: "leave out the first `NUMBER`", Validator: atLeast(0)}),
				Action: withOutbox(listFailed),
			},
			{
				Name: "show", Usage: "explain what happened to an event", ArgsUsage: "EVENT_ID",
				Arguments: []cli.Argument{&cli.StringArg{Name: "event-id", UsageText: "EVENT_ID"}},
				Flags:     outboxFlags(&cli.StringSliceFlag{Name: "type", Usage: "also look for a delivered event of this `TYPE`, if no contract documents it"}),
				Action:    withOutbox(showEvent),
			},
			{
				Name: "replay", Usage: "send dead letters again", ArgsUsage: "ID...",
				Arguments: []cli.Argument{&cli.StringArgs{Name: "ids", UsageText: "ID...", Max: -1}},
				Flags:     outboxFlags(&cli.BoolFlag{Name: "all", Usage: "replay all dead letters"}),
				Action:    withOutbox(replay),
			},
			{
				Name: "discard", Usage: "delete dead letters", ArgsUsage: "ID...",
				Arguments: []cli.Argument{&cli.StringArgs{Name: "ids", UsageText: "ID...", Max: -1}},
				Flags:     outboxFlags(),
				Action:    withOutbox(discard),
			},
			{
				Name: "erase", Usage: "erase the events of a user or order",
				Flags: outboxFlags(
					&cli.StringFlag{Name: "order", Usage: "erase those of the order `NUMBER`"},
					&cli.StringFlag{Name: "customer", Usage: "erase those of the customer `ID`"},
					&cli.StringFlag{Name: "session", Usage: "erase those of the session `ID`"}),
				Action: withOutbox(erase),
			},
		},
	}
}

func outboxFlags(more ...cli.Flag) []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "outbox", Usage: "`ADDRESS` of the queue", Sources: cli.EnvVars("CLICKID_OUTBOX")},
		&cli.StringFlag{Name: "table", Usage: "`ADDRESS` of the database with the outbox table", Sources: cli.EnvVars("CLICKID_OUTBOX_TABLE")},
		&cli.StringFlag{Name: "schema", Usage: "PostgreSQL `SCHEMA` of River", DefaultText: "clickid"},
		&cli.StringFlag{Name: "queue", Usage: "`NAME` of the queue of asynq", DefaultText: "clickid"},
		&cli.StringFlag{Name: "prefix", Usage: "`PREFIX` of the outbox table", DefaultText: outbox.DefaultPrefix},
		&cli.StringFlag{Name: "destination", Usage: "`NAME` of the destination, instead of the flags that follow"},
		&cli.BoolFlag{Name: "json", Usage: "print JSON"},
	}
	for _, f := range platformFlags() {
		switch f.Names()[0] {
		case "test-code", "send-external-id":
		default:
			flags = append(flags, f)
		}
	}
	return append(flags, more...)
}

func atLeast(least int) func(int) error {
	return func(n int) error {
		if n < least {
			return fmt.Errorf("must be at least %d", least)
		}
		return nil
	}
}

// withOutbox opens the outbox of the flags for an action.
func withOutbox(action func(context.Context, *cli.Command, *outboxes.Outbox) error) cli.ActionFunc {
	return withOutboxOf(platformConfig, action)
}

// withOutboxOf is withOutbox for another reading of the flags of the
// destination.
func withOutboxOf(config func(*cli.Command) (capi.Config, error), action func(context.Context, *cli.Command, *outboxes.Outbox) error) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
		defer cancel()
		if cmd.String("outbox") == "" {
			return wrongUsage(errors.New("-outbox or CLICKID_OUTBOX must have the address of the queue"))
		}
		destination := cmd.String("destination")
		if destination == "" {
			cfg, err := config(cmd)
			if err != nil {
				return wrongUsage(err)
			}
			if destination, err = capi.DestinationName(cfg); err != nil {
				return wrongUsage(err)
			}
		}
		ob, err := outboxes.Open(ctx, outboxes.Options{
			URL: cmd.String("outbox"), TableURL: cmd.String("table"), Destination: destination,
			Schema: cmd.String("schema"), Queue: cmd.String("queue"), Prefix: cmd.String("prefix"),
		})
		switch {
		case errors.As(err, new(outboxes.AddressError)):
			return wrongUsage(err)
		case err != nil:
			return err
		}
		defer ob.Close()
		return action(ctx, cmd, ob)
	}
}

func showStats(ctx context.Context, cmd *cli.Command, ob *outboxes.Outbox) error {
	stats, err := ob.Stats(ctx)
	if err != nil {
		return err
	}
	if stats.Queued+stats.Delivered+stats.Skipped+stats.DeadLetters == 0 {
		printOthers(ctx, cmd, ob)
	}
	if cmd.Bool("json") {
		return printJSON(cmd, struct {
			Queued        int     `json:"queued"`
			OldestSeconds float64 `json:"oldest_seconds"`
			Delivered     int     `json:"delivered"`
			Skipped       int     `json:"skipped"`
			DeadLetters   int     `json:"dead_letters"`
			Estimated     bool    `json:"estimated,omitempty"`
		}{stats.Queued, stats.Oldest.Seconds(), stats.Delivered, stats.Skipped, stats.DeadLetters, stats.Estimated})
	}
	_, err = fmt.Fprintf(cmd.Root().Writer, "queued        %d (the oldest for %s)\ndelivered     %d within the deduplication window\nskipped       %d within the deduplication window\ndead letters  %d\n",
		stats.Queued, stats.Oldest.Round(time.Second), stats.Delivered, stats.Skipped, stats.DeadLetters)
	if err == nil && stats.Estimated {
		_, err = fmt.Fprintln(cmd.Root().Writer, "Numbers above 2,000 are estimates.")
	}
	return err
}

// printOthers names the destinations or queues that have events, if the ones of the
// flags have none. They may be mistyped, and a hash does not show that.
func printOthers(ctx context.Context, cmd *cli.Command, ob *outboxes.Outbox) {
	others, err := ob.Others(ctx)
	if err != nil || len(others) == 0 {
		return // the numbers are correct without the hint
	}
	for i, name := range others {
		others[i] = fmt.Sprintf("%q", name)
	}
	fmt.Fprintf(cmd.Root().ErrWriter, "The %s of the flags has no events. Others: %s; -%[1]s chooses one.\n", ob.SharedBy, strings.Join(others, ", "))
}

func listFailed(ctx context.Context, cmd *cli.Command, ob *outboxes.Outbox) error {
	letters, err := ob.DeadLetters(ctx, outbox.Page{Limit: cmd.Int("limit"), Offset: cmd.Int("offset")})
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		entries := make([]outbox.Entry, len(letters))
		for i, l := range letters {
			entries[i] = l.Entry()
		}
		return printJSON(cmd, entries)
	}
	table := tabwriter.NewWriter(cmd.Root().Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tEVENT\tTYPE\tFAILED\tSTATUS\tREASON")
	for _, l := range letters {
		status := "-"
		if l.Status != 0 {
			status = fmt.Sprint(l.Status)
		}
		fmt.Fprintf(table, "%s\t%q\t%s\t%s\t%s\t%s\n", terminal.Text(l.ID), outbox.VisibleID(l.EventID), terminal.Text(string(l.Type)), moment(l.FailedAt), status, terminal.Text(l.Reason))
	}
	return table.Flush()
}

func showEvent(ctx context.Context, cmd *cli.Command, ob *outboxes.Outbox) error {
	id := cmd.StringArg("event-id")
	if id == "" {
		return wrongUsage(errors.New("show needs the ID of an event, usually the order number"))
	}
	var types []clickid.EventType
	for _, t := range cmd.StringSlice("type") {
		types = append(types, clickid.EventType(t))
	}
	entries, err := ob.Find(ctx, id, types...)
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		if err := printJSON(cmd, append([]outbox.Entry{}, entries...)); err != nil {
			return err
		}
	}
	if len(entries) == 0 {
		return errors.New("the outbox does not know the event: it was never sent, it was erased, it ended before the deduplication window, or the destination is another one")
	}
	if !cmd.Bool("json") {
		for _, e := range entries {
			fmt.Fprint(cmd.Root().Writer, outboxes.Explain(e, time.Now()))
		}
	}
	return nil
}

func replay(ctx context.Context, cmd *cli.Command, ob *outboxes.Outbox) error {
	ids := cmd.StringArgs("ids")
	if (len(ids) == 0) != cmd.Bool("all") {
		return wrongUsage(errors.New("replay needs the IDs of dead letters, or -all"))
	}
	n, err := ob.Replay(ctx, ids...)
	return printCount(cmd, "replayed", n, len(ids), err)
}

func discard(ctx context.Context, cmd *cli.Command, ob *outboxes.Outbox) error {
	ids := cmd.StringArgs("ids")
	if len(ids) == 0 {
		return wrongUsage(errors.New("discard needs the IDs of dead letters; clickid outbox failed lists them"))
	}
	n, err := ob.Discard(ctx, ids...)
	return printCount(cmd, "discarded", n, len(ids), err)
}

func erase(ctx context.Context, cmd *cli.Command, ob *outboxes.Outbox) error {
	var keys []clickid.Key
	for name, key := range map[string]func(string) clickid.Key{"order": clickid.OrderKey, "customer": clickid.CustomerKey, "session": clickid.SessionKey} {
		if id := cmd.String(name); id != "" {
			keys = append(keys, key(id))
		}
	}
	if len(keys) == 0 {
		return wrongUsage(errors.New("erase needs -order, -customer or -session"))
	}
	erased := 0
	for _, key := range keys {
		n, err := ob.Erase(ctx, key)
		erased += n
		if err != nil {
			return err
		}
	}
	return printCount(cmd, "erased", erased, 0, nil)
}

// printCount prints how many events a command changed. Fewer than wanted is an
// error.
func printCount(cmd *cli.Command, done string, n, wanted int, err error) error {
	if err != nil {
		return err
	}
	if cmd.Bool("json") {
		err = printJSON(cmd, map[string]int{done: n})
	} else {
		_, err = fmt.Fprintf(cmd.Root().Writer, "%d %s\n", n, done)
	}
	if err == nil && n < wanted {
		err = fmt.Errorf("%d of %d IDs: no such dead letter", wanted-n, wanted)
	}
	return err
}
