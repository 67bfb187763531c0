package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/cmd/clickid/internal/doctor"
	"github.com/clickid/clickid/interchange"
	"github.com/urfave/cli/v3"
)

func doctorCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "page", Usage: "`URL` of the page that the visitor opens next, such as that of the checkout form; may be relative", DefaultText: "the landing without the click"},
		&cli.StringFlag{Name: "checkout", Usage: "post a form to the `URL`, which may be relative; this may place an order"},
		&cli.StringSliceFlag{Name: "form", Usage: "field of the form, as `NAME=VALUE`; repeatable"},
		&cli.StringSliceFlag{Name: "param", Usage: "`NAME` of the click parameter; repeatable", Value: doctor.DefaultParams()},
		&cli.StringFlag{Name: "cookie", Usage: "`NAME` of the cookie without prefix", Value: doctor.DefaultCookie},
		&cli.StringSliceFlag{Name: "send-cookie", Usage: "send the cookie `NAME=VALUE` to the site, such as that of a banner; repeatable"},
		&cli.StringSliceFlag{Name: "ignore", Usage: "leave out the finding `NAME`; repeatable"},
		&cli.StringFlag{Name: "ca", Usage: "trust the certificate authorities in the PEM `FILE` for HTTPS"},
		&cli.DurationFlag{Name: "timeout", Usage: "wait for each response for at most `DURATION`", Value: doctor.DefaultTimeout, Validator: checkTimeout},
		&cli.BoolFlag{Name: "json", Usage: "print the report as JSON"},
	}
	return &cli.Command{
		Name:      "doctor",
		Usage:     "find out how a running site loses clicks",
		ArgsUsage: "URL",
		Arguments: []cli.Argument{&cli.StringArg{Name: "url", UsageText: "URL"}},
		Description: "The doctor opens URL, a page that ads link to, as a browser does after a click on\n" +
			"an ad, and checks redirects, cookie, caches and unusual requests. It makes about\n" +
			"30 requests. With the API key in CLICKID_API_KEY it also checks the key, the event\n" +
			"source and the clock, and sends a test event with -test-code.\n\n" +
			"The exit code is 1 if there is a fault. docs/doctor.md describes all findings.",
		Flags: append(flags, platformFlags()...),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			cfg, err := doctorConfig(cmd)
			if err != nil {
				return wrongUsage(err)
			}
			if file := cmd.String("ca"); file != "" {
				if cfg.Authorities, err = readAuthorities(file); err != nil {
					return err
				}
			}
			report, err := cfg.Examine(ctx)
			if err != nil {
				return err
			}
			if err := printReport(cmd, report); err != nil {
				return err
			}
			if report.Faults > 0 {
				return errors.New("doctor: " + report.Summary())
			}
			return nil
		},
	}
}

func printReport(cmd *cli.Command, report doctor.Report) error {
	if cmd.Bool("json") {
		return printJSON(cmd, report)
	}
	return report.Print(cmd.Root().Writer)
}

func doctorConfig(cmd *cli.Command) (c doctor.Config, err error) {
	landing, err := url.Parse(cmd.StringArg("url"))
	if err != nil || landing.Host == "" {
		return c, errors.New("doctor needs the URL of a page that ads link to, such as https://shop.example/summer")
	}
	c = doctor.Config{
		URL: landing, Params: cmd.StringSlice("param"), Cookie: cmd.String("cookie"), Form: url.Values{},
		SendCookies: cmd.StringSlice("send-cookie"), Ignore: cmd.StringSlice("ignore"), Timeout: cmd.Duration("timeout"),
	}
	if c.Page, err = relative(landing, cmd, "page"); err != nil {
		return c, err
	}
	if c.Checkout, err = relative(landing, cmd, "checkout"); err != nil {
		return c, err
	}
	for _, pair := range cmd.StringSlice("form") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return c, errors.New("-form must have the form NAME=VALUE")
		}
		c.Form.Add(name, value)
	}
	if err := checkSystem(cmd); err != nil {
		return c, err
	}
	c.Platform = doctorPlatform(cmd)
	return c, c.Check()
}

// relative returns the URL of a flag, or nil.
func relative(landing *url.URL, cmd *cli.Command, flag string) (*url.URL, error) {
	if !cmd.IsSet(flag) {
		return nil, nil
	}
	u, err := landing.Parse(cmd.String(flag))
	if err != nil {
		return nil, fmt.Errorf("-%s is not a URL", flag)
	}
	return u, nil
}

func readAuthorities(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("-ca: %s has no certificate in PEM form", file)
	}
	return pool, nil
}

// doctorPlatform returns the account of CLICKID_API_KEY, or nil.
func doctorPlatform(cmd *cli.Command) *doctor.Platform {
	key := os.Getenv("CLICKID_API_KEY")
	if key == "" {
		return nil
	}
	p := &doctor.Platform{
		API:           interchange.Config{APIKey: key, AdvertiserID: cmd.String("advertiser"), BaseURL: cmd.String("base-url")},
		EventSourceID: cmd.String("event-source"),
		TestCode:      cmd.String("test-code"),
	}
	if cmd.Bool("staging") {
		p.API.BaseURL = interchange.StagingURL
	}
	if cmd.String("dialect") == dialectLogEvent {
		p.NewSender = func(code string, client *http.Client) (clickid.Sender, error) {
			return newClient(cmd, func(cfg *capi.Config) {
				dialect := cfg.Dialect.(capi.LogEvent)
				dialect.TestEventCode = code
				cfg.Dialect, cfg.HTTPClient, cfg.Logger = dialect, client, slog.New(slog.DiscardHandler)
			})
		}
	}
	return p
}
