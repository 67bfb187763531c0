package crash

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
)

// patience is how long a shop may take to open, to take its orders or to
// deliver what an outage or a crash has left. It is that long for SQLite in pure
// Go under the race detector on a busy machine.
const patience = 5 * time.Minute

// Process is a shop in a process of its own.
type Process struct {
	tb    testing.TB
	cmd   *exec.Cmd
	stdin io.Closer
	said  <-chan string
	log   bytes.Buffer
}

// Start starts a shop and waits until it is open. It takes so many orders,
// whose IDs begin with prefix, and goes on delivering.
func (s Setup) Start(tb testing.TB, database string, platform *clickidtest.Server, prefix string, orders int) *Process {
	tb.Helper()
	p := &Process{tb: tb, cmd: exec.Command(os.Args[0])}
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
			p.tb.Fatalf("the shop ended by itself:\n%s", p.log.String())
		}
		if said != word {
			p.tb.Fatalf("the shop says %q and not %q", said, word)
		}
	case <-time.After(patience):
		p.tb.Fatalf("the shop did not say %q within %v", word, patience)
	}
}

// Kill ends the shop as kill -9 does. Killing it twice does nothing.
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
		p.tb.Errorf("the shop ended by itself: %v\n%s", err, p.log.String())
	}
	_ = p.stdin.Close()
}

// AwaitDelivery waits until the platform has accepted every committed order,
// and checks that it has nothing else.
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
			tb.Errorf("order %s is committed, and its conversion is lost", id)
		}
		delete(accepted, id)
	}
	for id := range accepted {
		tb.Errorf("order %s was never committed, and its conversion was sent", id)
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

// AnyMoment kills the shop at so many random moments while it takes orders and
// delivers, and checks that nothing is lost and nothing invented.
func (s Setup) AnyMoment(t *testing.T, database string, kills int) {
	platform := clickidtest.NewServer(t)
	s.prepare(t, database, platform)
	for kill := range kills {
		shop := s.Start(t, database, platform, fmt.Sprintf("K%d", kill), endless)
		time.Sleep(rand.N(300 * time.Millisecond)) // the moment is what varies here
		shop.Kill()
	}
	s.Start(t, database, platform, "", 0)
	orders := s.AwaitDelivery(t, database, platform)
	if len(orders) == 0 {
		t.Fatal("no order was taken: the kills came too early")
	}
	t.Logf("%d orders over %d kills, %d conversions sent again", len(orders), kills, Resent(platform))
}

const endless = 1 << 30

// prepare opens the shop once, so that the kills do not all meet its
// migrations.
func (s Setup) prepare(t *testing.T, database string, platform *clickidtest.Server) {
	t.Helper()
	shop := s.Start(t, database, platform, "", 0)
	shop.AwaitOrders()
	shop.Kill()
}

// DuringDelivery takes orders while the platform is away, and kills the sender
// each time when so many of them have been accepted.
func (s Setup) DuringDelivery(t *testing.T, database string, orders int, killAt ...int) {
	platform := clickidtest.NewServer(t)
	platform.Stop()
	shop := s.Start(t, database, platform, "D", orders)
	shop.AwaitOrders()
	platform.Always(clickidtest.Fault{Latency: 20 * time.Millisecond})
	if err := platform.Restart(); err != nil {
		t.Fatal(err)
	}
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
		t.Fatalf("%d orders were committed, and not %d", delivered, orders)
	}
	resent := Resent(platform)
	if resent == 0 {
		t.Error("no conversion was sent again: the kills came too late to show anything")
	}
	t.Logf("%d orders over %d kills, %d conversions sent again", orders, len(killAt), resent)
}
