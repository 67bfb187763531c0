package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/clickid/clickid/capi"
	"github.com/urfave/cli/v3"
)

// Names of the dialects in flags.
const (
	dialectLogEvent = "logevent"
	dialectECAPI    = "ecapi"
)

// platformFlags are the flags of commands that send events. The API key is not
// among them, since other users of a machine can see the arguments of a
// command.
func platformFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "dialect", Usage: "`DIALECT` of the events: logevent or ecapi", Value: dialectLogEvent, Validator: oneOf(dialectLogEvent, dialectECAPI)},
		&cli.StringFlag{Name: "event-source", Usage: "registered `ID` of the event source, for logevent", Sources: cli.EnvVars("CLICKID_EVENT_SOURCE")},
		&cli.StringFlag{Name: "advertiser", Usage: "`ID` of the advertiser, for logevent over Interchange", Sources: cli.EnvVars("CLICKID_ADVERTISER")},
		&cli.StringFlag{Name: "data-set", Usage: "`ID` of the data set, for ecapi", Sources: cli.EnvVars("CLICKID_DATA_SET")},
		&cli.BoolFlag{Name: "iab", Usage: "send the fields of the IAB standard, for ecapi"},
		&cli.StringFlag{Name: "test-code", Usage: "have the platform validate events with the test `CODE` and not count them, for logevent"},
		&cli.BoolFlag{Name: "send-external-id", Usage: "send external IDs with logevent, as agreed with the platform"},
		&cli.BoolFlag{Name: "staging", Usage: "use the platform's test system"},
		&cli.StringFlag{Name: "base-url", Usage: "send to another `URL`, such as that of clickid receive", Sources: cli.EnvVars("CLICKID_BASE_URL")},
	}
}

var errNoKey = errors.New("the environment variable CLICKID_API_KEY must have the API key")

func oneOf(values ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(values, s) {
			return fmt.Errorf("must be one of %q", values)
		}
		return nil
	}
}

// newClient returns the client that the flags and CLICKID_API_KEY describe. Its
// error is one of usage.
func newClient(cmd *cli.Command, adjust func(*capi.Config)) (*capi.Client, error) {
	cfg, err := platformConfig(cmd)
	if err != nil {
		return nil, err
	}
	if cfg.APIKey = os.Getenv(envAPIKey); cfg.APIKey == "" {
		return nil, errNoKey
	}
	if adjust != nil {
		adjust(&cfg)
	}
	return capi.New(cfg)
}

// checkSystem refuses two addresses of the platform: a variable that names one must
// not turn tests on another into real events.
func checkSystem(cmd *cli.Command) error {
	if cmd.Bool("staging") && cmd.String("base-url") != "" {
		return errors.New("-staging and -base-url exclude each other; unset CLICKID_BASE_URL to use -staging")
	}
	return nil
}

// platformConfig returns the destination that the flags describe.
func platformConfig(cmd *cli.Command) (capi.Config, error) {
	cfg := capi.Config{BaseURL: cmd.String("base-url")}
	if err := checkSystem(cmd); err != nil {
		return cfg, err
	}
	if cmd.Bool("staging") {
		cfg.Environment = capi.EnvironmentStaging
	}
	if cmd.String("dialect") == dialectECAPI {
		cfg.Dialect = capi.ECAPI{DataSetID: cmd.String("data-set"), IAB: cmd.Bool("iab")}
		if cmd.String("data-set") == "" {
			return cfg, errors.New("ecapi needs -data-set or CLICKID_DATA_SET")
		}
		if cmd.String("test-code") != "" {
			return cfg, errors.New("-test-code is for logevent; with ecapi the platform would count the event")
		}
		return cfg, nil
	}
	cfg.Dialect = capi.LogEvent{
		EventSourceID:  cmd.String("event-source"),
		AdvertiserID:   cmd.String("advertiser"),
		TestEventCode:  cmd.String("test-code"),
		SendExternalID: cmd.Bool("send-external-id"),
	}
	if cmd.String("event-source") == "" {
		return cfg, errors.New("logevent needs -event-source or CLICKID_EVENT_SOURCE")
	}
	return cfg, nil
}

// locationFlag is the flag for times without a time zone.
func locationFlag() cli.Flag {
	return &cli.StringFlag{Name: "timezone", Usage: "`ZONE` of times without one, such as Europe/Berlin", Validator: func(name string) error {
		_, err := location(name)
		return err
	}}
}

// location returns the time zone of a name, or nil for "".
func location(name string) (*time.Location, error) {
	if name == "" {
		return nil, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, errors.New("must be a time zone such as Europe/Berlin or UTC")
	}
	return zone, nil
}
