package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/clickid/clickid"
	"github.com/urfave/cli/v3"
)

func keygenCommand() *cli.Command {
	return &cli.Command{
		Name:  "keygen",
		Usage: "make a key for the cookie store",
		Description: "Prints 32 random bytes in base64, one key a line. Keep it where the shop keeps\n" +
			"its secrets. clickid.ParseCookieKey reads it for NewCookieStore. To rotate, put the new key\n" +
			"in front of the old one, and drop the old one after a click's lifetime.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "n", Usage: "how many keys", Value: 1, Validator: func(n int) error {
				if n < 1 || n > 100 {
					return fmt.Errorf("must be from 1 to 100")
				}
				return nil
			}},
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			for range cmd.Int("n") {
				key := make([]byte, clickid.MinCookieKeyLength)
				if _, err := rand.Read(key); err != nil {
					return fmt.Errorf("the system has no random numbers: %w", err)
				}
				if _, err := fmt.Fprintln(cmd.Root().Writer, base64.StdEncoding.EncodeToString(key)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
