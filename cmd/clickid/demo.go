package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid/cmd/clickid/internal/demo"
	"github.com/urfave/cli/v3"
)

// stopTimeout is how long the demo may take to end.
const stopTimeout = 10 * time.Second

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "an ad, a shop, its checkout and the ad platform's receiver in one process",
		Description: "Without -once it serves pages to click through in a browser until it is\n" +
			"interrupted. With -once it walks the whole journey by itself over HTTP and exits;\n" +
			"it tells its progress on standard error, and the last line of standard output is\n" +
			"one JSON object with click_id, event_id and accepted.\n\n" +
			"It needs no configuration, no network and no server.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "walk the journey and exit, with 0 only if all of it happened"},
			&cli.StringFlag{Name: "addr", Usage: "`HOST:PORT` of the page that shows the ad", Value: "127.0.0.1:0", DefaultText: "a free port"},
			&cli.StringFlag{Name: "db", Usage: "keep the shop's orders, clicks and outbox in this SQLite `FILE`", DefaultText: "a temporary file"},
			&cli.StringFlag{Name: "dialect", Usage: "what the shop sends: logevent or ecapi", Value: string(demo.LogEvent), Validator: demo.CheckDialect},
			&cli.IntFlag{Name: "refuse", Usage: "let the receiver answer every request with this `STATUS`, such as 401 or 503", Validator: checkStatus, HideDefault: true},
			&cli.DurationFlag{Name: "timeout", Usage: "how long -once may take", Value: time.Minute},
		},
		Action: func(ctx context.Context, cmd *cli.Command) error {
			options := demo.Options{
				Addr:     cmd.String("addr"),
				Database: cmd.String("db"),
				Dialect:  demo.Dialect(cmd.String("dialect")),
				Refuse:   cmd.Int("refuse"),
				Log:      cmd.Root().ErrWriter,
			}
			world, err := demo.Start(ctx, options)
			if err != nil {
				return err
			}
			if cmd.Bool("once") {
				err = walkOnce(ctx, cmd, world)
			} else {
				fmt.Fprintf(cmd.Root().Writer, "The ad:       %s\nThe shop:     %s\nThe platform: %s\n\nOpen the ad in a browser and click it. Ctrl-C ends the demo.\n",
					world.NewsURL(), world.ShopURL(), world.PlatformURL())
				<-ctx.Done()
			}
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			if closeErr := world.Close(stopping); err == nil {
				err = closeErr
			}
			return err
		},
	}
}

func checkStatus(status int) error {
	if status < 300 || status > 599 {
		return errors.New("must be an HTTP status from 300 to 599")
	}
	return nil
}

// walkOnce walks the journey and prints its outcome, also when it failed.
func walkOnce(ctx context.Context, cmd *cli.Command, world *demo.World) error {
	ctx, cancel := context.WithTimeout(ctx, cmd.Duration("timeout"))
	defer cancel()
	outcome, err := world.Walk(ctx, cmd.Root().ErrWriter)
	line, marshalErr := json.Marshal(outcome)
	if marshalErr != nil {
		return marshalErr
	}
	if _, printErr := fmt.Fprintf(cmd.Root().Writer, "%s\n", line); err == nil {
		err = printErr
	}
	return err
}
