package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/clickid/clickid/cmd/clickid/internal/site"
	"github.com/urfave/cli/v3"
)

// The environment variables that point a shop at a receiver.
const (
	envAPIKey  = "CLICKID_API_KEY"
	envBaseURL = "CLICKID_BASE_URL"
)

const receiveAddr = "127.0.0.1:2542"

func receiveCommand() *cli.Command {
	return &cli.Command{
		Name:  "receive",
		Usage: "stand in for the ad platform, with a live page and an API for tests",
		Description: "The receiver accepts conversions at the paths of the platform, in both dialects,\n" +
			"and refuses what the platform's contract refuses. Its page shows events as they\n" +
			"arrive and injects faults. docs/testing.md describes the HTTP API for tests.\n\n" +
			"Any API key that begins with scope3_, any data set, event source and advertiser is\n" +
			"accepted, unless flags name them.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "addr", Usage: "listen on `HOST:PORT`", Value: receiveAddr, Validator: checkAddr},
			&cli.StringSliceFlag{Name: "host", Usage: "also serve requests whose Host is `NAME`, besides localhost and IP addresses"},
			&cli.StringFlag{Name: "db", Usage: "keep the events in the SQLite database `FILE`", DefaultText: "memory"},
			&cli.IntFlag{Name: "keep", Usage: "keep the latest `NUMBER` events, and forget older ones, also as duplicates", Value: receiver.DefaultKeep, Validator: checkKeep},
			&cli.BoolFlag{Name: "check-key", Usage: "accept only the API key in " + envAPIKey},
			&cli.StringSliceFlag{Name: "data-set", Usage: "accept only the ECAPI data set `ID`; can be repeated"},
			&cli.StringSliceFlag{Name: "event-source", Usage: "accept only the registered event source `ID`; can be repeated"},
			&cli.StringSliceFlag{Name: "advertiser", Usage: "accept only the advertiser `ID`; can be repeated"},
			&cli.BoolFlag{Name: "iab", Usage: "accept the whole IAB standard at ECAPI, not only Scope3's dialect"},
			&cli.BoolFlag{Name: "json", Usage: "print the addresses as one JSON object"},
		},
		Action: receive,
	}
}

// hostOf returns the host of an address that checkAddr has accepted.
func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

func checkKeep(n int) error {
	if n < 1 {
		return errors.New("must be at least 1")
	}
	return nil
}

// receive serves the receiver until it is interrupted.
func receive(ctx context.Context, cmd *cli.Command) (err error) {
	account, err := receiveAccount(cmd)
	if err != nil {
		return wrongUsage(err)
	}
	r, err := receiver.New(ctx, receiver.Options{
		Platform: clickidtest.Config{Accounts: []clickidtest.Account{account}, IAB: cmd.Bool("iab")},
		Keep:     cmd.Int("keep"),
		File:     cmd.String("db"),
		Hosts:    append(cmd.StringSlice("host"), hostOf(cmd.String("addr"))),
		Log:      slog.New(slog.NewTextHandler(cmd.Root().ErrWriter, nil)),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	listening, err := site.Listen(ctx, cmd.String("addr"))
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	listening.Serve(r.Handler())
	err = announce(cmd.Root().Writer, listening.URL, cmd.Bool("json"), cmd.Bool("check-key"))
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-listening.Failed():
		}
	}
	r.Stop()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(err, listening.Close(stopping))
}

// receiveAccount returns the account that the flags describe.
func receiveAccount(cmd *cli.Command) (clickidtest.Account, error) {
	named := func(flag string) []string {
		if ids := cmd.StringSlice(flag); len(ids) > 0 {
			return ids
		}
		return []string{clickidtest.Any}
	}
	account := clickidtest.Account{
		APIKey:       clickidtest.Any,
		DataSets:     named("data-set"),
		EventSources: named("event-source"),
		Advertisers:  named("advertiser"),
	}
	if cmd.Bool("check-key") {
		account.APIKey = os.Getenv(envAPIKey)
		if !strings.HasPrefix(account.APIKey, "scope3_") || account.APIKey == "scope3_" {
			return account, fmt.Errorf("-check-key needs an API key that begins with scope3_ in %s", envAPIKey)
		}
	}
	return account, nil
}

// announce prints how to reach the receiver.
func announce(w io.Writer, url string, asJSON, checksKey bool) error {
	key := "scope3_local"
	if checksKey {
		key = "" // the user has it
	}
	if asJSON {
		line, err := json.Marshal(struct {
			URL    string `json:"url"`
			APIKey string `json:"api_key,omitempty"`
		}{url, key})
		if err == nil {
			_, err = fmt.Fprintf(w, "%s\n", line)
		}
		return err
	}
	if key != "" {
		key = "  export " + envAPIKey + "=" + key + "\n"
	}
	_, err := fmt.Fprintf(w, "The page: %s/\n\nThese variables point a shop at the receiver:\n\n  export %s=%s\n%s\nPress Ctrl-C to end the receiver.\n", url, envBaseURL, url, key)
	return err
}
