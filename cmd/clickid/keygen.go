package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/clickid/clickid"
	"github.com/urfave/cli/v3"
)

func keygenCommand() *cli.Command {
	return &cli.Command{
		Name:  "keygen",
		Usage: "print keys for the cookie store",
		Description: "A key is 32 random bytes, printed in base64 on a line of its own. Keep it with\n" +
			"the shop's secrets. clickid.ParseCookieKey reads it for clickid.NewCookieStore.\n" +
			"To rotate keys, pass the new key before the old one, and remove the old key when\n" +
			"the clicks that it signed have expired. With several instances, first deploy the\n" +
			"new key after the old one to all of them.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "n", Usage: "print `NUMBER` keys", Value: 1, Validator: func(n int) error {
				if n < 1 || n > 100 {
					return errors.New("must be from 1 to 100")
				}
				return nil
			}},
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			for range cmd.Int("n") {
				key := make([]byte, clickid.MinCookieKeyLength)
				if _, err := rand.Read(key); err != nil {
					return fmt.Errorf("keygen: reading random bytes: %w", err)
				}
				if _, err := fmt.Fprintln(cmd.Root().Writer, base64.StdEncoding.EncodeToString(key)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
