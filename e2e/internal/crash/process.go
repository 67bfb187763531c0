package crash

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
)

// patience is the time that a shop may take to open, to take its orders, or to
// deliver after an outage or a crash. SQLite in pure Go needs it under the race
// detector on a busy machine.
const patience = 5 * time.Minute

// Process is a shop in another process.
type Process struct {
	tb    testing.TB
	cmd   *exec.Cmd
	stdin io.Closer
	said  <-chan string
	log   bytes.Buffer
}

// Start starts a shop and waits until it is open. The shop takes a number of
// orders with IDs that begin with prefix, and then only delivers.
func (s Setup) Start(tb testing.TB, database string, platform *clickidtest.Server, prefix string, orders int) *Process {
	tb.Helper()
	command := append(slices.Clone(s.Within), os.Args[0])
	p := &Process{tb: tb, cmd: exec.Command(command[0], command[1:]...)}
	p.cmd.Env = append(os.Environ(),
		envSetup+"="+s.Name, envDatabase+"="+database, envPlatform+"="+platform.URL,
		envPrefix+"="+prefix, envOrders+"="+strconv.Itoa(orders))
	p.cmd.Stderr = &p.log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("starting the shop: %v", err)
	}
	tb.Cleanup(p.Kill)
	p.said = lines(stdout)
	p.await(saysOpen)
	return p
}

// AwaitOrders waits until the shop has taken all its orders.
func (p *Process) AwaitOrders() {
	p.tb.Helper()
	p.await(saysTaken)
}

func (p *Process) await(word string) {
	p.tb.Helper()
	select {
	case said, ok := <-p.said:
		if !ok {
			p.Kill()
			p.tb.Fatalf("the shop ended without Kill:\n%s", p.log.String())
		}
		if said != word {
			p.tb.Fatalf("the shop printed %q, want %q", said, word)
		}
	case <-time.After(patience):
		p.tb.Fatalf("the shop did not print %q within %v", word, patience)
	}
}

// Kill ends the shop with SIGKILL. A second call has no effect.
func (p *Process) Kill() {
	p.tb.Helper()
	if p.cmd.ProcessState != nil {
		return
	}
	if err := p.cmd.Process.Kill(); err != nil {
		p.tb.Errorf("killing the shop: %v", err)
	}
	for range p.said {
		// Wait must not close the pipe while it is being read.
	}
	if err := p.cmd.Wait(); p.cmd.ProcessState.Exited() {
		p.tb.Errorf("the shop ended without Kill: %v\n%s", err, p.log.String())
	}
	_ = p.stdin.Close()
}

// AwaitDelivery waits until the platform has accepted every committed order and
// checks that it has accepted nothing else.
func (s Setup) AwaitDelivery(tb testing.TB, database string, platform *clickidtest.Server) (orders []string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	orders, err := s.Orders(ctx, database)
	if err != nil {
		tb.Fatalf("reading the orders: %v", err)
	}
	_, late := platform.Wait(ctx, len(orders))
	accepted := make(map[string]bool)
	for _, event := range platform.Accepted() {
		accepted[event.ID] = true
	}
	for _, id := range orders {
		if !accepted[id] {
			tb.Errorf("order %s is committed, but its conversion is lost", id)
		}
		delete(accepted, id)
	}
	for id := range accepted {
		tb.Errorf("order %s is not committed, but its conversion was sent", id)
	}
	if late != nil {
		tb.Fatalf("waiting for %d conversions: %v", len(orders), late)
	}
	return orders
}

// Resent returns how many events the platform has received more than once.
func Resent(platform *clickidtest.Server) int {
	resent := 0
	for _, event := range platform.Accepted() {
		if event.Received > 1 {
			resent++
		}
	}
	return resent
}

// AnyMoment kills the shop at random moments while it takes orders and
// delivers. It checks that every committed order and no other is delivered.
func (s Setup) AnyMoment(t *testing.T, database string, kills int) {
	platform := clickidtest.NewServer(t)
	s.prepare(t, database, platform)
	for kill := range kills {
		shop := s.Start(t, database, platform, fmt.Sprintf("K%d", kill), endless)
		time.Sleep(rand.N(300 * time.Millisecond)) // random on purpose
		shop.Kill()
	}
	s.Start(t, database, platform, "", 0)
	orders := s.AwaitDelivery(t, database, platform)
	if len(orders) == 0 {
		t.Fatal("no order was taken: the kills came too early")
	}
	t.Logf("%d orders over %d kills, %d conversions sent twice", len(orders), kills, Resent(platform))
}

const endless = 1 << 30

// prepare opens the shop once, so that its migrations have run before the
// kills.
func (s Setup) prepare(t *testing.T, database string, platform *clickidtest.Server) {
	t.Helper()
	shop := s.Start(t, database, platform, "", 0)
	shop.AwaitOrders()
	shop.Kill()
}

// DuringDelivery takes orders while the platform is unavailable, and then kills
// the shop each time the platform has accepted the given number of them.
func (s Setup) DuringDelivery(t *testing.T, database string, orders int, killAt ...int) {
	platform := clickidtest.NewServer(t)
	platform.Always(clickidtest.Fault{Latency: 20 * time.Millisecond})
	lift := platform.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})
	shop := s.Start(t, database, platform, "D", orders)
	shop.AwaitOrders()
	lift()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, accepted := range killAt {
		if _, err := platform.Wait(ctx, accepted); err != nil {
			t.Fatalf("waiting for %d conversions: %v", accepted, err)
		}
		shop.Kill()
		shop = s.Start(t, database, platform, "", 0)
	}
	if delivered := len(s.AwaitDelivery(t, database, platform)); delivered != orders {
		t.Fatalf("%d orders were committed, want %d", delivered, orders)
	}
	resent := Resent(platform)
	if resent == 0 {
		t.Error("no conversion was sent twice: the kills came too late")
	}
	t.Logf("%d orders over %d kills, %d conversions sent twice", orders, len(killAt), resent)
}
