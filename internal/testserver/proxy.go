package testserver

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// ProxyConfig returns the configuration of a proxy that listens on an address. The
// proxy may write to the folder.
type ProxyConfig func(addr, folder string) string

// StartNginx starts nginx. The configuration is that of its http block.
func StartNginx(tb testing.TB, http ProxyConfig) *Server {
	tb.Helper()
	program := find(tb, "nginx", "install Debian's package nginx-light", "nginx")
	return startProxy(tb, "nginx", func(addr, folder string) string {
		config := "daemon off;\nworker_processes 1;\npid " + folder + "/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			config += kind + "_temp_path " + folder + "/" + kind + ";\n"
		}
		return config + http(addr, folder) + "}\n"
	}, func(_, config string) []string {
		return []string{program, "-e", "stderr", "-p", filepath.Dir(config), "-c", config}
	})
}

// StartVarnish starts Varnish with a configuration in VCL.
func StartVarnish(tb testing.TB, vcl ProxyConfig) *Server {
	tb.Helper()
	program := find(tb, "Varnish (varnishd)", "install Debian's package varnish", "varnishd")
	return startProxy(tb, "varnish", vcl, func(addr, config string) []string {
		return []string{
			program, "-F", "-j", "none", "-T", "none", "-a", addr, "-f", config, "-n", filepath.Join(filepath.Dir(config), "data"),
			"-s", "malloc,16m", "-p", "vsl_space=1M",
			"-p", "cc_command=exec cc -w -fpic -shared -O0 -o %o %s", // an optimized VCL takes twice as long to compile
		}
	})
}

// StartHAProxy starts HAProxy.
func StartHAProxy(tb testing.TB, config ProxyConfig) *Server {
	tb.Helper()
	program := find(tb, "HAProxy", "install Debian's package haproxy", "haproxy")
	return startProxy(tb, "haproxy", config, func(_, config string) []string { return []string{program, "-db", "-f", config} })
}

func startProxy(tb testing.TB, name string, config ProxyConfig, command func(addr, config string) []string) *Server {
	tb.Helper()
	s := newServer(tb, name, "nobody", nil)
	s.start(FreePort, func(string) {
		s.configure(config)
		s.command = command(s.addr, s.configPath())
		s.dsn, s.ready, s.stop = "http://"+s.addr, func(net.Conn) error { return nil }, terminate
	})
	return s
}

func (s *Server) configPath() string { return filepath.Join(s.dir, "config") }

// configure writes the configuration of a proxy.
func (s *Server) configure(config ProxyConfig) {
	s.tb.Helper()
	if err := os.WriteFile(s.configPath(), []byte(config(s.addr, s.data())), 0o644); err != nil {
		s.tb.Fatalf("configuring %s: %v", s.name, err)
	}
}

// Reload makes nginx read its configuration again. New workers take the new
// connections, and each old one ends after its requests. Reload returns when a new
// worker runs.
func (s *Server) Reload() {
	s.tb.Helper()
	s.mustRun("reload")
	old := s.processes()
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if slices.ContainsFunc(s.processes(), func(pid int) bool { return !slices.Contains(old, pid) }) {
			return
		}
	}
	s.tb.Fatalf("%s did not reload:\n%s", s.name, s.log())
}
