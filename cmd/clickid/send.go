package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/cmd/clickid/internal/fields"
	"github.com/clickid/clickid/cmd/clickid/internal/terminal"
	"github.com/clickid/clickid/outbox"
	"github.com/urfave/cli/v3"
)

// maxEvent limits an event on standard input, in bytes.
const maxEvent = 1 << 20

func sendCommand() *cli.Command {
	flags := platformFlags()
	for _, f := range fields.All() {
		flags = append(flags, &cli.StringFlag{Name: f.Name, Usage: f.Usage, Category: "Event"})
	}
	flags = append(flags, locationFlag(),
		&cli.StringFlag{Name: "region", Usage: "`COUNTRY` of a phone number without a country code, such as DE"},
		&cli.BoolFlag{Name: "dry-run", Usage: "print the request without secrets instead of sending it"},
		&cli.BoolFlag{Name: "json", Usage: "print the result as JSON"},
	)
	return &cli.Command{
		Name:  "send",
		Usage: "send one event",
		Description: "The event comes from the flags, or in its JSON form from standard input if none\n" +
			"of the event's flags is set. The API key is read from CLICKID_API_KEY. E-mail\n" +
			"addresses and phone numbers are hashed here.\n\n" +
			"The exit code is 0 only if the platform accepted the event.",
		Flags: flags,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			event, err := eventOf(cmd)
			if err != nil {
				return err
			}
			client, err := newClient(cmd, func(cfg *capi.Config) { cfg.Logger = slog.New(slog.DiscardHandler) })
			if err != nil {
				return wrongUsage(err)
			}
			var sender clickid.Sender = client
			if cmd.Bool("dry-run") {
				w := cmd.Root().Writer
				if cmd.Bool("json") {
					w = io.Discard
				}
				sender = client.DryRun(w)
			}
			report, err := sender.Send(ctx, event)
			if len(report.Results) != 1 {
				return err
			}
			if err := printResult(cmd, report); err != nil {
				return err
			}
			if v := report.Results[0].Verdict; v != clickid.VerdictAccepted && v != clickid.VerdictReady {
				return errors.New("the event was not accepted")
			}
			return nil
		},
	}
}

// eventOf returns the event of the flags or of standard input.
func eventOf(cmd *cli.Command) (clickid.Event, error) {
	var (
		set   []fields.Field
		texts []string
	)
	for _, f := range fields.All() {
		if cmd.IsSet(f.Name) {
			set, texts = append(set, f), append(texts, cmd.String(f.Name))
		}
	}
	if len(set) == 0 {
		return readEvent(cmd.Root().Reader)
	}
	zone, err := location(cmd.String("timezone"))
	if err != nil {
		return clickid.Event{}, wrongUsage(err)
	}
	event, err := fields.Options{Location: zone, Region: cmd.String("region"), Hash: true, Type: clickid.Purchase}.Event(set, texts)
	if err != nil {
		return event, wrongUsage(fmt.Errorf("-%w", err))
	}
	if event.Time.IsZero() {
		event.Time = time.Now()
	}
	return event, nil
}

func readEvent(stdin io.Reader) (e clickid.Event, err error) {
	content, err := io.ReadAll(io.LimitReader(stdin, maxEvent+1))
	switch {
	case err != nil:
		return e, fmt.Errorf("reading standard input: %w", err)
	case len(content) == 0:
		return e, wrongUsage(errors.New("send needs the flags of an event, or the event as JSON on standard input"))
	case len(content) > maxEvent:
		return e, errors.New("the event on standard input has more than 1 MiB")
	}
	e, err = fields.Decode(bytes.TrimPrefix(content, []byte("\ufeff"))) // PowerShell adds a byte order mark
	var problem *fields.Problem
	switch {
	case err == nil:
		return e, nil
	case errors.As(err, &problem) && problem.Field == "":
		return e, fmt.Errorf("standard input %w", err)
	}
	return e, fmt.Errorf("standard input: %w", err)
}

// printResult prints the result of a report with one event.
func printResult(cmd *cli.Command, report clickid.Report) error {
	r := report.Results[0]
	if r.Verdict == clickid.VerdictRejected {
		r.ID = outbox.VisibleID(r.ID) // it may be an e-mail address
	}
	w := cmd.Root().Writer
	if cmd.Bool("json") {
		return printJSON(cmd, struct {
			Verdict      string   `json:"verdict"`
			Type         string   `json:"type"`
			ID           string   `json:"id"`
			Destination  string   `json:"destination"`
			Reason       string   `json:"reason,omitempty"`
			Warnings     []string `json:"warnings,omitempty"`
			MatchQuality *float64 `json:"match_quality,omitempty"`
		}{r.Verdict.String(), string(r.Type), r.ID, r.Destination, r.Reason, report.Warnings, r.MatchQuality})
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s: %s\n", terminal.Text(string(r.Type)), terminal.Text(r.ID), r.Verdict)
	switch {
	case r.Reason != "":
		fmt.Fprintln(&text, "reason:", terminal.Text(r.Reason))
	case r.Err != nil:
		fmt.Fprintln(&text, "reason:", r.Err)
	}
	for _, warning := range report.Warnings {
		fmt.Fprintln(&text, "warning:", terminal.Text(warning))
	}
	_, err := io.WriteString(w, text.String())
	return err
}
