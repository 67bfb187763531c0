package load_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid"
)

// crowd are the visitors of a shop. Each connection is one visitor after the
// other: a landing begins the next.
type crowd struct {
	shop  *shop
	total int64
	plan  map[int64]func() error // by the number of the page view
	next  atomic.Int64

	landings, captured, retries atomic.Int64

	mu     sync.Mutex
	orders map[string]string // the click IDs of the orders; "" is organic
	err    error             // the first
}

// percent returns the page view at which a part of all is done.
func (c *crowd) percent(part int64) int64 { return c.total * part / 100 }

// visit makes page views on a connection until all are done.
func (c *crowd) visit() {
	if err := c.browse(); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err == nil {
			c.err = err
		}
		c.next.Store(c.total) // end the others
	}
}

func (c *crowd) browse() error {
	conn, err := net.Dial("tcp", c.shop.server.Listener.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	b := browser{conn: conn, responses: bufio.NewReader(conn)}
	for {
		i := c.next.Add(1) - 1
		if i >= c.total {
			return nil
		}
		if happens := c.plan[i]; happens != nil {
			if err := happens(); err != nil {
				return err
			}
		}
		switch {
		case i%50 == 0:
			err = c.land(&b, clickID(i))
		case i%1000 == 999:
			// Every fourth order is that of a visitor without a click.
			err = c.order(&b, fmt.Sprintf("O-%d", i), i%4000 != 3999)
		default:
			_, _, err = b.get("GET /shoes?utm_source=newsletter&page=2", i%2 == 0)
		}
		if err != nil {
			return fmt.Errorf("page view %d: %w", i, err)
		}
	}
}

// land is the first page of the next visitor.
func (c *crowd) land(b *browser, click string) error {
	b.cookie, b.click = "", ""
	_, cookies, err := b.get("GET /?utm_source=scope3&clkid="+click, false)
	if err != nil {
		return err
	}
	c.landings.Add(1)
	if len(cookies) == 1 {
		c.captured.Add(1)
		b.cookie, b.click = "Cookie: theme=dark; "+cookies[0].Name+"="+cookies[0].Value+"\r\n", click
	}
	return nil
}

// order sends an order until the shop has stored it, as a browser or a payment
// provider does.
func (c *crowd) order(b *browser, id string, withCookie bool) error {
	want, click := clickid.VerdictSkippedOrganic, ""
	if withCookie && b.click != "" {
		want, click = clickid.VerdictQueued, b.click
	}
	for {
		verdict, _, err := b.get("POST /order?id="+id, withCookie)
		switch {
		case err == errAgain:
			c.retries.Add(1)
			time.Sleep(10 * time.Millisecond)
			continue
		case err != nil:
			return err
		case verdict != want.String():
			return fmt.Errorf("the order %s is %s and not %s", id, verdict, want)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.orders[id] = click
		return nil
	}
}

// browser is a connection and its current visitor.
type browser struct {
	conn          net.Conn
	responses     *bufio.Reader
	cookie, click string // the header with the cookie, and its click ID
}

// errAgain is the error for a response of 503.
var errAgain = fmt.Errorf("the shop is unavailable")

func (b *browser) get(line string, withCookie bool) (body string, cookies []*http.Cookie, err error) {
	request := line + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n" +
		"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
	if withCookie {
		request += b.cookie
	}
	if _, err := io.WriteString(b.conn, request+"\r\n"); err != nil {
		return "", nil, err
	}
	response, err := http.ReadResponse(b.responses, nil)
	if err != nil {
		return "", nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return "", nil, err
	case response.StatusCode == http.StatusServiceUnavailable:
		return "", nil, errAgain
	case response.StatusCode != http.StatusOK:
		return "", nil, fmt.Errorf("%s: the shop responds %s", line, response.Status)
	}
	return string(text), response.Cookies(), nil
}

// clickID returns a ULID of this moment, with i in place of the random part.
func clickID(i int64) string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	id, ms := make([]byte, 26), time.Now().UnixMilli()
	for n := 25; n >= 10; n-- {
		id[n] = digits[i&31]
		i >>= 5
	}
	for n := 9; n >= 0; n-- {
		id[n] = digits[ms&31]
		ms >>= 5
	}
	return string(id)
}
