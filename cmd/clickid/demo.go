package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/clickid/clickid/cmd/clickid/internal/demo"
	"github.com/urfave/cli/v3"
)

// stopTimeout bounds the end of the servers. A busy machine needs it.
const stopTimeout = time.Minute

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "run an ad, a shop and the ad platform's receiver in one process",
		Description: "The demo serves pages for a browser until it is interrupted. With -once it makes\n" +
			"the whole journey over HTTP and exits: it writes its progress to standard error,\n" +
			"with the click, the cookie, the conversion and the response as they passed. The\n" +
			"last line of standard output is a JSON object with click_id, event_id and accepted.\n\n" +
			"The demo needs no configuration, no network and no other servers.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "make the journey and exit; the exit code is 0 only if every step succeeded"},
			&cli.StringFlag{Name: "addr", Usage: "serve the page with the ad on `HOST:PORT`", Value: "127.0.0.1:0", DefaultText: "a free port of 127.0.0.1", Validator: checkAddr},
			&cli.StringFlag{Name: "db", Usage: "keep the shop's orders, clicks and outbox in the SQLite database `FILE`", DefaultText: "a temporary file"},
			&cli.StringFlag{Name: "dialect", Usage: "send conversions as `DIALECT`: logevent or ecapi", Value: string(demo.LogEvent), Validator: demo.CheckDialect},
			&cli.IntFlag{Name: "refuse", Usage: "refuse every request to the receiver with the HTTP status `STATUS`", Validator: checkStatus, HideDefault: true},
			&cli.DurationFlag{Name: "timeout", Usage: "end -once with an error after `DURATION`", Value: 5 * time.Minute, Validator: checkTimeout},
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
				fmt.Fprintf(cmd.Root().Writer, "The ad:       %s\nThe shop:     %s\nThe platform: %s\n\nOpen the ad in a browser and click it. Press Ctrl-C to end the demo.\n",
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

// checkAddr reports an address that no listener can have. Whether the host
// exists and the port is free shows when the demo listens.
func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("must be HOST:PORT, such as 127.0.0.1:8080")
	}
	return nil
}

func checkTimeout(timeout time.Duration) error {
	if timeout <= 0 {
		return errors.New("must be positive, such as 30s")
	}
	return nil
}

// walkOnce makes the journey and prints its outcome, also when it failed.
func walkOnce(ctx context.Context, cmd *cli.Command, world *demo.World) error {
	timeout := cmd.Duration("timeout")
	ctx, cancel := context.WithTimeoutCause(ctx, timeout,
		fmt.Errorf("the journey took longer than %v; set a longer -timeout", timeout))
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
