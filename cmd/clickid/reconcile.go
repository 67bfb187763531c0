package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/cmd/clickid/internal/outboxes"
	"github.com/clickid/clickid/cmd/clickid/internal/reconcile"
	"github.com/clickid/clickid/interchange"
	"github.com/clickid/clickid/outbox"
	"github.com/urfave/cli/v3"
)

func reconcileCommand() *cli.Command {
	return &cli.Command{
		Name:  "reconcile",
		Usage: "compare what the outbox delivered with what the platform counted",
		Description: "The platform counts the conversions of an advertiser, of all event sources together.\n" +
			"So the numbers agree only if this outbox feeds the only active event source of the\n" +
			"advertiser. The platform counts up to an hour late, and an event counts in the\n" +
			"outbox in the hour of its delivery. After an outage, compare a longer period.\n\n" +
			"With -threshold, the exit code is 1 if the sums differ by more. The API key is\n" +
			"read from CLICKID_API_KEY. The bars: █ both, ░ delivered and not counted,\n" +
			"▒ counted and not delivered by this outbox.",
		Flags: outboxFlags(
			&cli.BoolFlag{Name: "interchange", Usage: "the shop sends over Interchange, so that the advertiser is part of the destination"},
			&cli.StringFlag{Name: "from", Usage: "first full `HOUR`, such as 2026-05-04T15:00Z", DefaultText: "24 hours before -to", Validator: checkHour},
			&cli.StringFlag{Name: "to", Usage: "`HOUR` after the last one", DefaultText: "an hour ago", Validator: checkHour},
			&cli.FloatFlag{Name: "threshold", Usage: "fail if the sums differ by more than `PERCENT`", Value: -1, HideDefault: true, Validator: checkPercent},
			&cli.DurationFlag{Name: "deduplication-window", Usage: "how long the outbox remembers deliveries, as in its configuration", Value: outbox.DefaultDeduplicationWindow},
		),
		Action: withOutboxOf(reconciledConfig, runReconcile),
	}
}

// reconciledConfig returns the destination of the outbox. The advertiser names
// the account whose events are counted, and belongs to the destination only over
// Interchange.
func reconciledConfig(cmd *cli.Command) (capi.Config, error) {
	cfg, err := platformConfig(cmd)
	if dialect, ok := cfg.Dialect.(capi.LogEvent); ok && !cmd.Bool("interchange") {
		dialect.AdvertiserID = ""
		cfg.Dialect = dialect
	}
	return cfg, err
}

// hourLayouts are the forms of an hour.
var hourLayouts = []string{"2006-01-02T15:04Z07:00", time.RFC3339, "2006-01-02T15Z07:00"}

func parseHour(s string) (time.Time, error) {
	for _, layout := range hourLayouts {
		if t, err := time.Parse(layout, s); err == nil && t.Equal(t.Truncate(time.Hour)) {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New("must be a full hour such as 2026-05-04T15:00Z")
}

func checkHour(s string) error {
	_, err := parseHour(s)
	return err
}

func checkPercent(percent float64) error {
	if !(percent >= 0 && percent <= 100) { // NaN is neither
		return errors.New("must be from 0 to 100")
	}
	return nil
}

// maxPeriod bounds the hours of a comparison.
const maxPeriod = 31 * 24 * time.Hour

// period returns the hours to compare.
func period(cmd *cli.Command, now time.Time) (from, to time.Time, err error) {
	to = now.UTC().Truncate(time.Hour).Add(-time.Hour)
	if s := cmd.String("to"); s != "" {
		if to, err = parseHour(s); err != nil {
			return from, to, err
		}
	}
	from = to.Add(-24 * time.Hour)
	if s := cmd.String("from"); s != "" {
		if from, err = parseHour(s); err != nil {
			return from, to, err
		}
	}
	switch window := cmd.Duration("deduplication-window"); {
	case !from.Before(to):
		err = errors.New("-from must be before -to")
	case to.Sub(from) > maxPeriod:
		err = errors.New("the period must not exceed 31 days")
	case to.After(now):
		err = errors.New("-to must not be in the future")
	case now.Sub(from) > window:
		err = fmt.Errorf("-from must be within the deduplication window of %v: the outbox has forgotten earlier deliveries", window)
	}
	return from, to, err
}

func runReconcile(ctx context.Context, cmd *cli.Command, ob *outboxes.Outbox) error {
	from, to, err := period(cmd, time.Now())
	if err != nil {
		return wrongUsage(err)
	}
	manager, err := newManager(cmd)
	if err != nil {
		return err
	}
	counter, ok := ob.Outbox.(outbox.HourCounter)
	if !ok {
		return errors.New("the outbox does not count its deliveries by hour")
	}
	delivered, err := counter.DeliveredByHour(ctx, from, to)
	if err != nil {
		return err
	}
	summary, err := manager.Summary(ctx, interchange.SummaryQuery{Class: interchange.ClassConversion, Start: from, End: to})
	if err != nil {
		return err
	}
	comparison := reconcile.Compare(from, to, delivered, summary.Hours)
	if cmd.Bool("json") {
		err = printJSON(cmd, comparison)
	} else {
		err = comparison.Write(cmd.Root().Writer)
	}
	if threshold := cmd.Float("threshold"); err == nil && cmd.IsSet("threshold") && comparison.Difference() > threshold {
		return fmt.Errorf("the sums differ by %.1f %%, more than %v %%", comparison.Difference(), threshold)
	}
	return err
}
