package river_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/networktest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/jackc/pgx/v5/pgconn"
)

// onMachines is inTransaction with a checkout that is repeated until the order
// is stored, for shops whose network fails.
var onMachines = crash.Setup{
	Name: "machines",
	Open: func(ctx context.Context, database string, client *capi.Client) (crash.Shop, error) {
		s, err := openShop(ctx, database, client)
		return patientShop{s}, err
	},
	Orders: committedOrders,
}

type patientShop struct{ crash.Shop }

// Order implements [crash.Shop]. An attempt whose commit got no response may
// have stored the order; the next one finds it.
func (s patientShop) Order(ctx context.Context, conversion clickid.Event, commit bool) error {
	time.Sleep(25 * time.Millisecond) // the pace of the customers
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := s.Shop.Order(attempt, conversion, commit)
		cancel()
		if stored := (*pgconn.PgError)(nil); err == nil || errors.As(err, &stored) && stored.Code == "23505" { // unique_violation
			return nil
		}
	}
}

// lan is a network of machines: a bridge of this machine, and for each machine
// a network namespace with a link to it.
type lan struct {
	t       testing.TB
	name    string // of the bridge
	host    string // the address of this machine
	network string
}

// newLAN creates the network. Only root may, on Linux.
func newLAN(t testing.TB, machines int) lan {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		testserver.Missing(t, "the right to create network namespaces", "run the tests as root on Linux, in a container with --privileged")
	}
	for _, program := range []string{"ip", "unshare"} {
		testserver.Program(t, program)
	}
	block := fmt.Sprintf("198.18.%d", rand.N(256)) // for tests of networks (RFC 2544)
	l := lan{t: t, name: fmt.Sprintf("clk%06x", rand.N(1<<24)), host: block + ".1", network: block + ".0/24"}
	if output, err := exec.Command("ip", "link", "add", l.name, "type", "bridge").CombinedOutput(); err != nil {
		testserver.Missing(t, "the right to create network namespaces", "give the container CAP_NET_ADMIN and CAP_SYS_ADMIN: "+string(output))
	}
	t.Cleanup(func() { l.ip("link", "del", l.name) })
	l.ip("addr", "add", l.host+"/24", "dev", l.name)
	l.ip("link", "set", l.name, "up")
	for i := range machines {
		namespace, link := l.namespace(i), l.link(i)
		l.ip("netns", "add", namespace)
		t.Cleanup(func() { l.ip("netns", "del", namespace) }) // with its end of the link
		l.ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
		l.ip("link", "set", link, "master", l.name, "up")
		l.ip("-n", namespace, "addr", "add", fmt.Sprintf("%s.%d/24", block, 10+i), "dev", "eth0")
		l.ip("-n", namespace, "link", "set", "eth0", "up")
	}
	return l
}

func (l lan) namespace(machine int) string { return fmt.Sprintf("%s-%d", l.name, machine) }
func (l lan) link(machine int) string      { return fmt.Sprintf("%sv%d", l.name, machine) }

// hostname is the name of a machine, with which River's names of its clients
// begin.
func (l lan) hostname(machine int) string { return fmt.Sprintf("shop%d", machine) }

func (l lan) ip(args ...string) {
	l.t.Helper()
	if output, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Errorf("ip %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// on returns a setup whose shops run on a machine and trust a certificate.
func (l lan) on(machine int, s crash.Setup, trusted string) crash.Setup {
	s.Within = []string{
		"ip", "netns", "exec", l.namespace(machine), "unshare", "--uts", "env", "SSL_CERT_FILE=" + trusted,
		"sh", "-c", `hostname "$0" && exec "$@"`, l.hostname(machine),
	}
	return s
}

// platform starts a receiver with TLS on this machine's address.
func (l lan) platform() (platform *clickidtest.Server, trusted string) {
	l.t.Helper()
	certificate, pem := networktest.Certificate(l.t, l.host)
	trusted = filepath.Join(l.t.TempDir(), "trusted.pem")
	if err := os.WriteFile(trusted, pem, 0o600); err != nil {
		l.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(l.host, "0"))
	if err != nil {
		l.t.Fatal(err)
	}
	receiver := clickidtest.New(clickidtest.Config{})
	server := &http.Server{Handler: receiver, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}, ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0)} // clients are killed
	l.t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.ServeTLS(listener, "", "") }()
	return &clickidtest.Server{Receiver: receiver, URL: "https://" + listener.Addr().String()}, trusted
}

// TestMachines has shops on three machines and their database on a fourth. The
// machine of River's leader crashes and another one's link is cut for seconds,
// while orders are placed. Every order is counted, once.
func TestMachines(t *testing.T) {
	t.Parallel()
	const machines, orders = 3, 300
	l := newLAN(t, machines)
	platform, trusted := l.platform()
	server := testserver.StartPostgres(t)
	database := server.ListenOn(l.host, l.network)

	start := func(machine int, prefix string, orders int) *crash.Process {
		return l.on(machine, onMachines, trusted).Start(t, database, platform, prefix, orders)
	}
	shops := make([]*crash.Process, machines)
	for i := range shops {
		shops[i] = start(i, fmt.Sprintf("shop%d", i), orders)
	}
	if _, err := platform.Wait(within(t, time.Minute), 50); err != nil {
		t.Fatal(err)
	}
	leader := leaderOf(t, l, server.DSN(), machines)
	shops[leader].Kill()
	cut := (leader + 1) % machines
	l.ip("link", "set", l.link(cut), "down")
	time.Sleep(4 * time.Second) // the length of the fault
	l.ip("link", "set", l.link(cut), "up")
	shops[leader] = start(leader, "restarted", orders/3)
	for _, shop := range shops {
		shop.AwaitOrders()
	}
	shops[cut].Kill() // its events are delivered by others

	taken := onMachines.AwaitDelivery(t, database, platform)
	if least := (machines-1)*orders + orders/3; len(taken) < least {
		t.Errorf("%d orders are stored, want at least %d: the shop with the cut link must continue", len(taken), least)
	}
	t.Logf("%d orders of %d machines, %d conversions sent twice", len(taken), machines, crash.Resent(platform))
}

// leaderOf returns the machine of River's leader.
func leaderOf(t testing.TB, l lan, database string, machines int) (machine int) {
	t.Helper()
	pool := newPool(t, database)
	eventually(t, "a leader", func(ctx context.Context) (bool, error) {
		var leaders []string
		rows, err := pool.Query(ctx, "SELECT leader_id FROM clickid.river_leader")
		if err != nil {
			return false, err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return false, err
			}
			leaders = append(leaders, id)
		}
		for machine = range machines {
			if len(leaders) == 1 && strings.HasPrefix(leaders[0], l.hostname(machine)+"_") {
				return true, rows.Err()
			}
		}
		return false, rows.Err()
	})
	return machine
}
