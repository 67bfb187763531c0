// Package clocks tests outboxes on machines whose clocks differ.
package clocks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // for testserver
	_ "github.com/jackc/pgx/v5/stdlib" // for testserver

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
)

// patience limits the waits of these tests. An event that a killed shop was
// sending waits for the lease of its queue, and asynq looks for those each minute.
const patience = 4 * time.Minute

// TestClocks runs three shops on one queue. The clock of one is an hour behind, and
// that of another an hour ahead. The platform is unavailable at the beginning, and
// each shop is killed once while orders are placed.
func TestClocks(t *testing.T) {
	t.Parallel()
	program := build(t, "clockshop")
	for outbox, database := range map[string]func(testing.TB) string{
		"river": testserver.Postgres, "asynq": nil, "postgresql": testserver.Postgres, "mysql": testserver.MySQL,
	} {
		t.Run(outbox, func(t *testing.T) {
			t.Parallel()
			const orders = 100
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			platform := clickidtest.NewServer(t)
			platform.Always(clickidtest.Fault{Latency: 100 * time.Millisecond})
			lift := platform.Always(clickidtest.Fault{Status: 503})
			args := []string{"-outbox", outbox, "-platform", platform.URL, "-redis", testserver.StartRedis(t).DSN()}
			if database != nil {
				args = append(args, "-database", database(t))
			}
			clocks := []time.Duration{-time.Hour, 0, time.Hour}
			for round := range 2 {
				var shops []*shop
				for i, clock := range clocks {
					shops = append(shops, start(t, program, clock, append(args, "-prefix", fmt.Sprintf("order-%d-%d", round, i), "-orders", strconv.Itoa(orders))...))
				}
				for _, s := range shops {
					s.await(t, "taken")
				}
				if round == 0 {
					time.Sleep(15 * time.Second) // the length of the outage; River's leader schedules waits of more than five seconds
					lift()
					if _, err := platform.Wait(ctx, 1); err != nil {
						t.Fatal(err)
					}
					for _, s := range shops {
						s.kill()
					}
				}
			}
			want := 2 * len(clocks) * orders
			if _, err := platform.Wait(ctx, want); err != nil {
				t.Fatalf("%d of %d orders are accepted: %v", platform.Count(), want, err)
			}
			twice, most := 0, 0
			for _, event := range platform.Accepted() {
				most = max(most, event.Received)
				if event.Received > 1 {
					twice++
				}
			}
			if most > 3 {
				t.Errorf("an order was sent %d times", most)
			}
			t.Logf("%d orders, %d sent more than once, at most %d times", want, twice, most)
		})
	}
}

// building lets the second build find the packages of the first one in the cache.
var building sync.Mutex

// build builds a shop in e2e/internal with another time.Now.
func build(t *testing.T, name string) (program string) {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	testserver.Program(t, "go")
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	const now = "sec, nsec, mono := runtimeNow()\n"
	if n := bytes.Count(source, []byte("func Now() Time {\n\t"+now)); n != 1 {
		t.Fatalf("time.Now in %s is not known to this test: change it here", original)
	}
	source = bytes.Replace(source, []byte(now), []byte(now+"\tsec += clock\n"), 1)
	source = bytes.Replace(source, []byte("import (\n"), []byte("import (\n\t\"syscall\"\n"), 1)
	source = append(source, clock...)

	dir := t.TempDir()
	changed := filepath.Join(dir, "time.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{changed: source, filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program = filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "github.com/clickid/clickid/e2e/internal/"+name)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the shop: %v\n%s", err, output)
	}
	return program
}

// clock is the number of seconds by which a shop's clock is wrong.
const clock = `
var clock = func() (seconds int64) {
	value, _ := syscall.Getenv("CLICKID_TEST_CLOCK")
	ahead := true
	for _, c := range value {
		if c == '-' {
			ahead = false
		} else {
			seconds = seconds*10 + int64(c-'0')
		}
	}
	if !ahead {
		return -seconds
	}
	return seconds
}()
`

// shop is a running shop.
type shop struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	log   *bytes.Buffer
	stdin io.Closer
}

func start(t *testing.T, program string, clock time.Duration, args ...string) *shop {
	t.Helper()
	s := &shop{cmd: exec.Command(program, args...), log: &bytes.Buffer{}}
	s.cmd.Env = append(os.Environ(), fmt.Sprintf("CLICKID_TEST_CLOCK=%d", int64(clock/time.Second)))
	s.cmd.Stderr = s.log
	stdout, err := s.cmd.StdoutPipe()
	if err == nil {
		s.stdin, err = s.cmd.StdinPipe()
	}
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatalf("starting the shop: %v", err)
	}
	t.Cleanup(s.kill)
	s.lines = bufio.NewScanner(stdout)
	seconds, _ := strconv.ParseInt(s.next(), 10, 64)
	if d := time.Until(time.Unix(seconds, 0)) - clock; d < -time.Minute || d > time.Minute {
		s.kill()
		t.Fatalf("the clock of the shop is not %v ahead:\n%s", clock, s.log)
	}
	return s
}

func (s *shop) next() string {
	s.lines.Scan()
	return strings.TrimSpace(s.lines.Text())
}

func (s *shop) await(t *testing.T, line string) {
	t.Helper()
	if got := s.next(); got != line {
		s.kill()
		t.Fatalf("the shop printed %q, want %q:\n%s", got, line, s.log)
	}
}

// kill ends the shop with SIGKILL. A second call has no effect.
func (s *shop) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}
