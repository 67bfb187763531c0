package testserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// diskMegabytes is the size of a server's own disk. The empty databases take
// half of it.
const diskMegabytes = 160

// StartRedisOnDisk is [StartRedis] with the data on a small disk of its own; see
// [Server.FillDisk].
func StartRedisOnDisk(tb testing.TB, extraArgs ...string) *Server {
	tb.Helper()
	return startRedis(tb, FreePort, onDisk, extraArgs)
}

// StartPostgresOnDisk is [StartPostgres] with the tables on a small disk of its
// own; see [Server.FillDisk].
func StartPostgresOnDisk(tb testing.TB) *Server {
	tb.Helper()
	return startPostgres(tb, onDisk, "data", "wal")
}

// StartPostgresWithLogOnDisk is [StartPostgres] with the write-ahead log on a small
// disk of its own. PostgreSQL ends itself when the log cannot grow.
func StartPostgresWithLogOnDisk(tb testing.TB) *Server {
	tb.Helper()
	return startPostgres(tb, onDisk, "tables", filepath.Join("data", "wal"))
}

// StartMariaDBOnDisk is [StartMariaDB] with the data on a small disk of its own;
// see [Server.FillDisk].
func StartMariaDBOnDisk(tb testing.TB) *Server {
	tb.Helper()
	return startMariaDB(tb, onDisk)
}

// disk prepares the folder of a server's data.
type disk func(s *Server)

// onDisk mounts a small disk for the data. Only root may, on Linux.
func onDisk(s *Server) {
	s.tb.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		Missing(s.tb, "the right to mount a disk", "run the tests as root on Linux, in a container with --privileged")
	}
	Program(s.tb, "mount")
	size := fmt.Sprintf("size=%dm", diskMegabytes)
	if output, err := exec.Command("mount", "-t", "tmpfs", "-o", size, "clickid-test", s.data()).CombinedOutput(); err != nil {
		Missing(s.tb, "the right to mount a disk", "give the container CAP_SYS_ADMIN: "+string(output))
	}
	s.mounted = true
	if err := errors.Join(os.Chmod(s.data(), 0o700), own(s.data(), s.user)); err != nil {
		s.tb.Fatalf("changing the owner of the disk of %s: %v", s.name, err)
	}
}

// FillDisk fills the disk of a server that was started with one, until not a
// byte is free.
func (s *Server) FillDisk() {
	s.tb.Helper()
	if !s.mounted {
		s.tb.Fatalf("%s has no disk of its own", s.name)
	}
	f, err := os.OpenFile(s.filler(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		s.tb.Fatalf("filling the disk of %s: %v", s.name, err)
	}
	defer func() { _ = f.Close() }()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		s.tb.Fatalf("filling the disk of %s: %v", s.name, err)
	}
}

// FreeDisk frees the space that FillDisk has taken.
func (s *Server) FreeDisk() {
	s.tb.Helper()
	if err := os.Remove(s.filler()); err != nil {
		s.tb.Fatalf("freeing the disk of %s: %v", s.name, err)
	}
}

func (s *Server) data() string   { return filepath.Join(s.dir, "data") }
func (s *Server) filler() string { return filepath.Join(s.data(), "filler") }

// unmount removes the disk of a server that has ended.
func (s *Server) unmount() {
	if !s.mounted {
		return
	}
	// Lazily, since a process may have a file open.
	if output, err := exec.Command("umount", "--lazy", s.data()).CombinedOutput(); err != nil {
		s.tb.Errorf("unmounting the disk of %s: %v\n%s", s.name, err, output)
	}
	s.mounted = false
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
