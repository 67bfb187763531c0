package testserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startTimeout is the time that a private server may take to start or to stop
// on a busy machine.
const startTimeout = time.Minute

// Server is a private server of a test: a process on a free port of 127.0.0.1
// with its own data. When the test ends, the process is killed and the data
// removed. The methods are not safe for concurrent use.
type Server struct {
	tb      testing.TB
	name    string
	dir     string   // of data and log, owned by the server's user
	mounted bool     // the data is on a disk of its own
	user    string   // the server's user if the test runs as root; "" is root
	command []string // program and arguments
	addr    string
	dsn     string
	stop    os.Signal // asks the server to stop without waiting for its clients
	ready   func(net.Conn) error

	cmd    *exec.Cmd     // the running process, or nil
	exited chan struct{} // closed when cmd has ended
	paused bool
}

// StartRedis starts a Redis or Valkey server. Confirmed writes survive Kill and
// Restart. Extra arguments, such as "--maxmemory", "1mb", take precedence.
func StartRedis(tb testing.TB, extraArgs ...string) *Server {
	tb.Helper()
	return startRedis(tb, FreePort, nil, extraArgs)
}

// StartRedisNode starts a Redis or Valkey server that can join a cluster.
func StartRedisNode(tb testing.TB) *Server {
	tb.Helper()
	return startRedis(tb, freeNodePort, nil, []string{"--cluster-enabled", "yes"})
}

func startRedis(tb testing.TB, choosePort func(testing.TB) int, prepare disk, extraArgs []string) *Server {
	tb.Helper()
	program := findRedis(tb)
	s := newServer(tb, "redis", "", prepare)
	s.start(choosePort, func(port string) {
		s.command = append([]string{
			program, "--bind", "127.0.0.1", "--port", port, "--dir", s.data(),
			"--appendonly", "yes", "--appendfsync", "always", "--save", "",
		}, extraArgs...)
		s.dsn, s.ready, s.stop = "redis://"+s.addr+"/0", redisReady, terminate
	})
	return s
}

// StartSentinel starts a Redis Sentinel that monitors a server under a name and
// promotes a replica when the server has not responded for a second. It tries again
// after ten seconds, such as when a busy machine made a replica look unhealthy.
func StartSentinel(tb testing.TB, name string, watched *Server) *Server {
	tb.Helper()
	program := findRedis(tb)
	s := newServer(tb, "sentinel", "", nil)
	s.start(FreePort, func(port string) {
		config := filepath.Join(s.dir, "sentinel.conf") // Sentinel writes its state there
		watch := strings.Join([]string{"bind 127.0.0.1", "port " + port,
			"sentinel monitor " + name + " " + strings.Replace(watched.addr, ":", " ", 1) + " 1",
			"sentinel down-after-milliseconds " + name + " 1000",
			"sentinel failover-timeout " + name + " 5000", // half of the time between two attempts
		}, "\n")
		if err := os.WriteFile(config, []byte(watch), 0o600); err != nil {
			tb.Fatalf("configuring Sentinel: %v", err)
		}
		s.command = []string{program, config, "--sentinel"}
		s.dsn, s.ready, s.stop = "redis://"+s.addr, redisReady, terminate
	})
	return s
}

func findRedis(tb testing.TB) string {
	tb.Helper()
	return find(tb, "Redis (redis-server or valkey-server)", "install Debian's package redis-server", "redis-server", "valkey-server")
}

// StartPostgres starts a PostgreSQL server with the user and the database
// postgres and no password.
func StartPostgres(tb testing.TB) *Server {
	tb.Helper()
	return startPostgres(tb, nil, "data", "wal")
}

const (
	postgresPrograms = "PostgreSQL (initdb and postgres)"
	postgresRemedy   = "install Debian's package postgresql"
)

// startPostgres has the tables and the write-ahead log in folders of the server's
// directory.
func startPostgres(tb testing.TB, prepare disk, tables, log string) *Server {
	tb.Helper()
	initdb, postgres := find(tb, postgresPrograms, postgresRemedy, "initdb"), find(tb, postgresPrograms, postgresRemedy, "postgres")
	s := newServer(tb, "postgres", "postgres", prepare)
	tables, log = filepath.Join(s.dir, tables), filepath.Join(s.dir, log)
	s.run(initdb, "--pgdata", tables, "--waldir", log, "--wal-segsize", "1", "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
	s.startPostgres(postgres, tables)
	return s
}

func (s *Server) startPostgres(program, tables string) {
	s.tb.Helper()
	s.start(FreePort, func(port string) {
		s.command = []string{
			program, "-D", tables, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB",
		}
		s.dsn, s.ready, s.stop = "postgres://postgres@"+s.addr+"/postgres?sslmode=disable", postgresReady, os.Interrupt
	})
}

// StartPostgresStandby starts a standby of a PostgreSQL server, which follows it
// until the test calls pg_promote on it.
func StartPostgresStandby(tb testing.TB, primary *Server) *Server {
	tb.Helper()
	backup, postgres := find(tb, "PostgreSQL (pg_basebackup)", postgresRemedy, "pg_basebackup"), find(tb, postgresPrograms, postgresRemedy, "postgres")
	s := newServer(tb, "standby", "postgres", nil)
	host, port, _ := net.SplitHostPort(primary.addr) // always both
	s.run(backup, "--host", host, "--port", port, "--username", "postgres", "--pgdata", s.data(), "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	s.startPostgres(postgres, s.data())
	return s
}

// StartMariaDB starts a MariaDB server with the user root, no password, and
// the empty database test.
func StartMariaDB(tb testing.TB) *Server {
	tb.Helper()
	return startMariaDB(tb, nil)
}

func startMariaDB(tb testing.TB, prepare disk) *Server {
	tb.Helper()
	const what, remedy = "MariaDB (mariadb-install-db and mariadbd)", "install Debian's package mariadb-server"
	install, mariadbd := find(tb, what, remedy, "mariadb-install-db"), find(tb, what, remedy, "mariadbd")
	s := newServer(tb, "mariadb", "mysql", prepare)
	// MariaDB removes the temporary files of other servers in a common folder.
	fast := []string{"--no-defaults", "--datadir=" + s.data(), "--tmpdir=" + s.dir, "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=64M"}
	s.run(install, append(fast, "--auth-root-authentication-method=normal")...)
	s.start(FreePort, func(port string) {
		s.command = append([]string{mariadbd}, append(fast, "--bind-address=127.0.0.1", "--port="+port, "--socket="+filepath.Join(s.dir, "socket"),
			"--pid-file="+filepath.Join(s.dir, "pid"), "--skip-name-resolve")...)
		s.dsn, s.ready, s.stop = "root@tcp("+s.addr+")/test", mariadbReady, terminate
	})
	return s
}

// ListenOn makes a PostgreSQL server listen on a further address of this
// machine for clients of a network, such as "198.18.0.1" and "198.18.0.0/24".
// It restarts the server and returns the data source name at that address.
func (s *Server) ListenOn(host, network string) (dsn string) {
	s.tb.Helper()
	rules, err := os.OpenFile(filepath.Join(s.data(), "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintf(rules, "host all all %s trust\n", network)
		err = errors.Join(err, rules.Close())
	}
	if err != nil {
		s.tb.Fatalf("admitting the clients of %s to %s: %v", network, s.name, err)
	}
	s.Restart("-c", "listen_addresses=127.0.0.1,"+host)
	return strings.Replace(s.dsn, "@127.0.0.1:", "@"+host+":", 1)
}

// Addr returns host and port.
func (s *Server) Addr() string { return s.addr }

// DSN returns the data source name for the server's driver: a redis:// or
// postgres:// URL, or a DSN of go-sql-driver/mysql.
func (s *Server) DSN() string { return s.dsn }

// Running reports whether the server runs. It does not if it has ended itself.
func (s *Server) Running() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// Stop stops the server gracefully and waits for its end. It closes the
// connections of clients. Stop has no effect on a stopped server.
func (s *Server) Stop() {
	s.tb.Helper()
	if s.cmd == nil {
		return
	}
	s.Resume()
	s.signal(s.cmd.Process.Pid, s.stop)
	select {
	case <-s.exited:
		s.cmd = nil
	case <-time.After(startTimeout):
		s.Kill()
		s.tb.Fatalf("%s did not stop:\n%s", s.name, s.log())
	}
}

// Kill ends the server as a crash would. It has no effect on a stopped server.
func (s *Server) Kill() {
	s.tb.Helper()
	if s.cmd == nil {
		return
	}
	pids := s.processes()
	for _, pid := range pids {
		s.signal(pid, os.Kill)
	}
	<-s.exited
	s.cmd, s.paused = nil, false
	// PostgreSQL does not start while an old process holds its shared memory.
	for deadline := time.Now().Add(startTimeout); s.anyAlive(pids); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.tb.Fatalf("%s was killed, but its processes are running", s.name)
		}
	}
}

// Pause freezes the server. Its connections stay open, the operating system
// accepts new ones, and none of them gets a response.
func (s *Server) Pause() {
	s.tb.Helper()
	s.mustRun("pause")
	s.paused = true
	// Freeze the main process first, so that it does not start others.
	s.signal(s.cmd.Process.Pid, freeze)
	for _, pid := range s.processes() {
		s.signal(pid, freeze)
	}
}

// Resume continues the server after Pause.
func (s *Server) Resume() {
	s.tb.Helper()
	s.mustRun("resume")
	if !s.paused {
		return
	}
	for _, pid := range s.processes() {
		s.signal(pid, thaw)
	}
	s.paused = false
}

// Restart stops the server if it is running, starts it on the same port with
// the same data, and waits until it accepts commands. Extra arguments, such as
// "-c", "fsync=on", are added to the earlier ones and take precedence.
func (s *Server) Restart(extraArgs ...string) {
	s.tb.Helper()
	s.Stop()
	s.command = append(s.command, extraArgs...)
	if err := s.launch(); err != nil {
		s.tb.Fatalf("restarting %s: %v\n%s", s.name, err, s.log())
	}
}

// newServer returns a server with a new data directory, on a disk unless prepare
// is nil.
func newServer(tb testing.TB, name, user string, prepare disk) *Server {
	tb.Helper()
	s := &Server{tb: tb, name: name}
	if os.Geteuid() == 0 {
		s.user = user // database servers refuse to run as root
	}
	dir, err := os.MkdirTemp("", "clickid-"+name+"-")
	if err != nil {
		tb.Fatalf("creating the data directory of %s: %v", name, err)
	}
	s.dir = dir
	tb.Cleanup(func() {
		s.Kill()
		s.unmount()
		if err := os.RemoveAll(dir); err != nil {
			tb.Logf("removing the data directory of %s: %v", name, err)
		}
	})
	if err := errors.Join(os.Mkdir(s.data(), 0o700), own(dir, s.user), own(s.data(), s.user)); err != nil {
		tb.Fatalf("preparing the data directory of %s: %v", name, err)
	}
	if prepare != nil {
		prepare(s)
	}
	return s
}

// start starts the server on a free port and waits until it accepts commands.
func (s *Server) start(choosePort func(testing.TB) int, configure func(port string)) {
	s.tb.Helper()
	var err error
	for range 5 { // another process may take the port first
		port := strconv.Itoa(choosePort(s.tb))
		s.addr = net.JoinHostPort("127.0.0.1", port)
		configure(port)
		if err = s.launch(); !errors.Is(err, errEnded) {
			break
		}
	}
	if err != nil {
		s.tb.Fatalf("starting %s: %v\n%s", s.name, err, s.log())
	}
}

// errEnded means that the process ended at once: the port is taken or the
// arguments are wrong.
var errEnded = errors.New("the process ended at once")

// launch starts the process and waits until it accepts commands.
func (s *Server) launch() error {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := s.prepare(s.command...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // the log has the reason
	}()
	s.cmd, s.exited = cmd, exited
	deadline := time.Now().Add(startTimeout)
	for {
		err := probe(s.addr, s.ready)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			s.cmd = nil
			return errEnded
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("not ready after %v: %w", startTimeout, err)
		}
	}
}

// run runs a program that prepares the server's data.
func (s *Server) run(program string, args ...string) {
	s.tb.Helper()
	if output, err := s.prepare(append([]string{program}, args...)...).CombinedOutput(); err != nil {
		s.tb.Fatalf("preparing the data of %s: %v\n%s", s.name, err, output)
	}
}

func (s *Server) prepare(command ...string) *exec.Cmd {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = s.dir // the server's user may have no access to the test's directory
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := runAs(cmd, s.user); err != nil {
		s.tb.Fatalf("running %s: %v", s.name, err)
	}
	return cmd
}

func (s *Server) mustRun(action string) {
	s.tb.Helper()
	if s.cmd == nil {
		s.tb.Fatalf("cannot %s %s: it is not running", action, s.name)
	}
}

func (s *Server) signal(pid int, sig os.Signal) {
	s.tb.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Signal(sig)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.tb.Errorf("sending %v to %s: %v", sig, s.name, err)
	}
}

// processes returns the server's process and its children. PostgreSQL serves
// every connection in a child outside of its process group.
func (s *Server) processes() []int {
	s.tb.Helper()
	pids := []int{s.cmd.Process.Pid}
	for _, p := range s.listProcesses() {
		if p.parent == pids[0] {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// anyAlive reports whether one of the processes is running. A zombie is not.
func (s *Server) anyAlive(pids []int) bool {
	s.tb.Helper()
	return slices.ContainsFunc(s.listProcesses(), func(p process) bool {
		return slices.Contains(pids, p.pid) && !strings.HasPrefix(p.state, "Z")
	})
}

type process struct {
	pid, parent int
	state       string
}

func (s *Server) listProcesses() []process {
	s.tb.Helper()
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=").Output()
	if err != nil {
		s.tb.Fatalf("listing the processes of %s: %v", s.name, err)
	}
	var list []process
	for _, line := range strings.Split(string(output), "\n") {
		var p process
		if n, _ := fmt.Sscan(line, &p.pid, &p.parent, &p.state); n == 3 {
			list = append(list, p)
		}
	}
	return list
}

func (s *Server) logPath() string { return filepath.Join(s.dir, "server.log") }

// log returns the end of the server's log for failure messages.
func (s *Server) log() string {
	log, err := os.ReadFile(s.logPath())
	if err != nil {
		return ""
	}
	return string(log[max(0, len(log)-4096):])
}

// find returns the first of the programs that is installed. Besides the path it
// searches the directories of administrators and of Debian's PostgreSQL.
func find(tb testing.TB, what, remedy string, programs ...string) string {
	tb.Helper()
	if !canStart {
		Missing(tb, "a private "+what, "private servers need Unix")
	}
	for _, program := range programs {
		if path, err := exec.LookPath(program); err == nil {
			return path
		}
		places, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + program) // the pattern is well-formed
		sort.Slice(places, func(i, j int) bool { return postgresVersion(places[i]) < postgresVersion(places[j]) })
		places = append([]string{"/usr/sbin/" + program, "/usr/local/sbin/" + program}, places...)
		for i := len(places) - 1; i >= 0; i-- {
			if path, err := exec.LookPath(places[i]); err == nil {
				return path
			}
		}
	}
	Missing(tb, what, remedy)
	return ""
}

// postgresVersion reads the version in /usr/lib/postgresql/VERSION/bin/program.
func postgresVersion(path string) float64 {
	version, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(path))), 64)
	return version
}
