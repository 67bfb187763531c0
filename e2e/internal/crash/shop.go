// Package crash tests that a shop whose process is killed loses no conversion.
//
// A test binary that calls [Main] is also the shop's process: the test starts
// the binary again as a child. The child opens an order database with an outbox
// according to a [Setup], takes orders and delivers their conversions until the
// test kills it. Then the test compares the committed orders with the events
// that the receiver has accepted.
package crash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
)

// Setup is a way to store orders and their conversions together.
type Setup struct {
	// Name is unique within a test binary.
	Name string
	// Open prepares a database that is new or that a killed process has left,
	// and starts the delivery to the client's platform. The shop's process
	// calls it, and the test once.
	Open func(ctx context.Context, database string, client *capi.Client) (Shop, error)
	// Orders returns the IDs of the committed orders.
	Orders func(ctx context.Context, database string) ([]string, error)
	// Within is a command that runs the shop's process in its place, such as
	// "ip netns exec NAME". Defaults to none.
	Within []string
}

// Shop takes orders.
type Shop interface {
	// Order stores an order and its conversion in one transaction, which it
	// commits or rolls back. It is called concurrently.
	Order(ctx context.Context, conversion clickid.Event, commit bool) error
}

// Main runs the tests, or the shop if the process is a child of the tests. It
// replaces the TestMain of its package.
func Main(m *testing.M, setups ...Setup) {
	name, isShop := os.LookupEnv(envSetup)
	if !isShop {
		os.Exit(m.Run())
	}
	for _, setup := range setups {
		if setup.Name == name {
			if err := serve(setup); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	fmt.Fprintf(os.Stderr, "there is no setup %q\n", name)
	os.Exit(1)
}

// The environment of the shop's process.
const (
	envSetup    = "CLICKID_CRASH_SETUP"
	envDatabase = "CLICKID_CRASH_DATABASE"
	envPlatform = "CLICKID_CRASH_PLATFORM"
	envPrefix   = "CLICKID_CRASH_PREFIX"
	envOrders   = "CLICKID_CRASH_ORDERS"
)

// The lines that the shop's process prints.
const (
	saysOpen  = "open"
	saysTaken = "taken" // all orders
)

const (
	// tills is the number of concurrent orders.
	tills = 4
	// rollbackEvery makes every fifth order fail after its conversion was
	// stored.
	rollbackEvery = 5
)

// serve is the shop's process. It ends with the test if it is not killed
// before.
func serve(setup Setup) error {
	ctx := context.Background()
	client, err := NewClient(os.Getenv(envPlatform))
	if err != nil {
		return err
	}
	shop, err := setup.Open(ctx, os.Getenv(envDatabase), client)
	if err != nil {
		return err
	}
	fmt.Println(saysOpen)
	orders, err := strconv.Atoi(os.Getenv(envOrders))
	if err != nil {
		return err
	}
	if err := takeOrders(ctx, shop, os.Getenv(envPrefix), orders); err != nil {
		return err
	}
	fmt.Println(saysTaken)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// takeOrders takes a number of orders that commit, and others that are rolled
// back.
func takeOrders(ctx context.Context, shop Shop, prefix string, orders int) error {
	var group sync.WaitGroup
	var next atomic.Int64
	failures := make([]error, tills)
	for till := range tills {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				n := int(next.Add(1))
				if n > orders {
					return
				}
				if err := shop.Order(ctx, Conversion(fmt.Sprintf("%s-%d", prefix, n)), true); err != nil {
					failures[till] = err
					return
				}
				if n%rollbackEvery != 0 {
					continue
				}
				if err := shop.Order(ctx, Conversion(fmt.Sprintf("%s-%d-withdrawn", prefix, n)), false); err != nil {
					failures[till] = err
					return
				}
			}
		}()
	}
	group.Wait()
	return errors.Join(failures...)
}

// NewClient returns a LogEvent client for a receiver, without the platform's
// published rate limits.
func NewClient(platform string) (*capi.Client, error) {
	return capi.New(capi.Config{
		APIKey:    clickidtest.APIKey,
		BaseURL:   platform,
		Dialect:   capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		RateLimit: capi.RateLimit{Requests: -1},
		Timeout:   10 * time.Second, // busy machines need seconds for a full request
	})
}

// Conversion returns the purchase of an order.
func Conversion(order string) clickid.Event {
	return clickid.Event{
		Type: clickid.Purchase, ID: order, Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Source: clickid.SourceApp, Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	}
}

// lines sends the lines of r.
func lines(r io.Reader) <-chan string {
	said := make(chan string)
	go func() {
		defer close(said)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			said <- scanner.Text()
		}
	}()
	return said
}
