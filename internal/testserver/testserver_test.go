package testserver

import (
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServer(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *Server{
		"Redis":    func(tb testing.TB) *Server { return StartRedis(tb) },
		"Postgres": StartPostgres,
		"MariaDB":  StartMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			require.NoError(t, probe(s.Addr(), s.ready))

			s.Pause()
			require.ErrorContains(t, probe(s.Addr(), s.ready), "timeout")
			s.Resume()
			require.NoError(t, probe(s.Addr(), s.ready))

			s.Stop()
			require.ErrorContains(t, probe(s.Addr(), s.ready), "refused")
			s.Stop()
			s.Restart()
			require.NoError(t, probe(s.Addr(), s.ready))

			s.Kill()
			require.ErrorContains(t, probe(s.Addr(), s.ready), "refused")
			s.Kill()
			s.Restart()
			require.NoError(t, probe(s.Addr(), s.ready))

			s.Pause()
			s.Stop()
			require.ErrorContains(t, probe(s.Addr(), s.ready), "refused")
		})
	}
}

func TestServer_Kill_confirmedWrites(t *testing.T) {
	s := StartRedis(t)
	require.NoError(t, probe(s.Addr(), func(c net.Conn) error { return expect(c, "SET key value\r\n", "+OK") }))
	s.Kill()
	s.Restart()
	require.NoError(t, probe(s.Addr(), func(c net.Conn) error { return expect(c, "GET key\r\n", "$5\r\nvalue") }))
}

func TestServer_FillDisk(t *testing.T) {
	s := StartRedisOnDisk(t)
	set := func() error {
		return probe(s.Addr(), func(c net.Conn) error { return expect(c, "SET key value\r\n", "+OK") })
	}
	require.NoError(t, set())
	s.FillDisk()
	require.ErrorIs(t, os.WriteFile(filepath.Join(s.data(), "more"), []byte("more"), 0o600), syscall.ENOSPC)
	s.FreeDisk()
	require.NoError(t, set())
}

func TestServer_cleanup(t *testing.T) {
	var s *Server
	for name, start := range map[string]func(testing.TB, ...string) *Server{"folder": StartRedis, "disk": StartRedisOnDisk} {
		t.Run(name, func(t *testing.T) { s = start(t) })
		require.ErrorContains(t, probe(s.Addr(), s.ready), "refused")
		require.NoDirExists(t, s.dir)
	}
}

// TestFreePort checks that no other test gets a port while nothing listens on it.
func TestFreePort(t *testing.T) {
	var port int
	t.Run("test", func(t *testing.T) {
		port = FreePort(t)
		_, ok := reserve(port)
		require.False(t, ok, "another test gets the port")
	})
	held, ok := reserve(port)
	require.True(t, ok, "the port stays reserved after the test")
	require.NoError(t, held.Close())
}

func TestProbe_notReady(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("-LOADING Redis is loading the dataset in memory\r\n"))
			defer func() { _ = conn.Close() }()
		}
	}()
	for _, ready := range []func(net.Conn) error{redisReady, postgresReady, mariadbReady} {
		require.ErrorIs(t, probe(l.Addr().String(), ready), errNotReady)
	}
}

// outcome is a test that records how a helper ends it.
type outcome struct {
	testing.TB
	skipped, failed bool
}

func (o *outcome) Helper()               {}
func (o *outcome) Skipf(string, ...any)  { o.skipped = true; runtime.Goexit() }
func (o *outcome) Fatalf(string, ...any) { o.failed = true; runtime.Goexit() }
func (o *outcome) Fatal(...any)          { o.failed = true; runtime.Goexit() }
func (o *outcome) run(f func(testing.TB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(o)
	}()
	<-done
}

func TestMissing(t *testing.T) {
	for _, row := range []struct {
		require         string
		skipped, failed bool
	}{
		{require: "", skipped: true},
		{require: "1", failed: true},
	} {
		t.Setenv("CLICKID_TEST_REQUIRE", row.require)
		for name, f := range map[string]func(testing.TB){
			"direct":  func(tb testing.TB) { Missing(tb, "a browser", "install one") },
			"program": func(tb testing.TB) { find(tb, "a program", "install it", "clickid-no-such-program") },
		} {
			o := &outcome{TB: t}
			o.run(f)
			require.Equal(t, row.skipped, o.skipped, name)
			require.Equal(t, row.failed, o.failed, name)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("CLICKID_TEST_REDIS", "cache.test:6380")
	require.Equal(t, "redis://cache.test:6380", Redis(t))
	t.Setenv("CLICKID_TEST_REDIS", "rediss://:secret@cache.test:6380/3")
	require.Equal(t, "rediss://:secret@cache.test:6380/3", Redis(t))

	require.Equal(t, "postgres://u:p@db.test:5433/fresh?sslmode=require",
		withPostgresDatabase(t, "postgres://u:p@db.test:5433/admin?sslmode=require", "fresh"))
	require.Equal(t, "u:p/w@tcp(db.test:3306)/fresh?parseTime=true",
		withMySQLDatabase(t, "u:p/w@tcp(db.test:3306)/mysql?parseTime=true", "fresh"))
	require.Equal(t, "u@unix(/run/mysqld/mysqld.sock)/fresh",
		withMySQLDatabase(t, "u@unix(/run/mysqld/mysqld.sock)/", "fresh"))

	for _, f := range []func(testing.TB){
		func(tb testing.TB) { withPostgresDatabase(tb, "host=db.test user=u", "fresh") },
		func(tb testing.TB) { withMySQLDatabase(tb, "db.test", "fresh") },
	} {
		o := &outcome{TB: t}
		o.run(f)
		require.True(t, o.failed)
	}
}

func TestOpen_missingDriver(t *testing.T) {
	require.Empty(t, sql.Drivers())
	for _, f := range []func(testing.TB) string{Postgres, MySQL} {
		o := &outcome{TB: t}
		o.run(func(tb testing.TB) { f(tb) })
		require.True(t, o.failed)
	}
}

func TestName(t *testing.T) {
	require.Regexp(t, "^clickid_test_[0-9a-f]{12}$", Name())
	require.NotEqual(t, Name(), Name())
}

func TestPostgresVersion(t *testing.T) {
	require.Greater(t, postgresVersion(filepath.FromSlash("/usr/lib/postgresql/15/bin/initdb")),
		postgresVersion(filepath.FromSlash("/usr/lib/postgresql/9.6/bin/initdb")))
}
