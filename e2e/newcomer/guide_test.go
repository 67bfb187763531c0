//go:build unix

package newcomer_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/testserver"
	_ "github.com/go-sql-driver/mysql" // for testserver.MySQL
	_ "github.com/jackc/pgx/v5/stdlib" // for testserver.Postgres
	"github.com/stretchr/testify/require"
)

// TestGettingStarted follows each guide from an empty folder, word for word. The
// program of a guide is an example.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	released := release(t, root)
	for _, tt := range []struct {
		guide, example string
		// address is that of the database in the guide.
		address  string
		database func(testing.TB) string
	}{
		{guide: "cookie", example: "nethttp"},
		{"postgresql", "postgresql", "postgres://shop:secret@127.0.0.1:5432/shop", testserver.Postgres},
		{"mariadb", "mariadb", "shop:secret@tcp(127.0.0.1:3306)/shop", testserver.MySQL},
	} {
		t.Run(tt.guide, func(t *testing.T) {
			document := filepath.Join(root, "docs", "getting-started", tt.guide+".md")
			example, err := os.ReadFile(filepath.Join(root, "examples", tt.example, "main.go"))
			require.NoError(t, err)
			_, program, found := strings.Cut(string(example), "\npackage main\n")
			require.True(t, found)
			require.Equal(t, []string{"package main\n" + program}, programs(t, document))

			text, err := os.ReadFile(document)
			require.NoError(t, err)
			guide := string(text)
			requireVersions(t, root, guide)
			var addresses []string
			if tt.database != nil {
				require.Contains(t, guide, tt.address)
				addresses = []string{tt.address, tt.database(t)}
			}
			newReader(t, released, addresses...).follow(guide)
		})
	}
}

// TestReadme follows the sections of the README with a program and with the
// registration of an event source.
func TestReadme(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	document := filepath.Join(root, "README.md")
	require.Len(t, programs(t, document), 1)
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	section := func(heading string) string {
		_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
		require.True(t, found, heading)
		section, _, _ = strings.Cut(section, "\n## ")
		return section
	}

	reader := newReader(t, release(t, root))
	reader.follow(section("A shop in 40 lines"))
	// The receiver stands in for the platform here as well.
	connect, platform := section("Connect it to the platform"), "unset CLICKID_BASE_URL\nexport CLICKID_API_KEY=scope3_…\n"
	require.Contains(t, connect, platform)
	reader.follow(strings.Replace(connect, platform, "export CLICKID_BASE_URL=http://127.0.0.1:2542 CLICKID_API_KEY=scope3_local\n", 1) +
		"```console\n$ clickid sources sync -advertiser 12345 sources.yaml\n= \"my-shop\" is registered as in the file\n```\n")
}

// release serves the modules of this checkout as if they were published. It
// returns the environment in which the go command finds them.
func release(t *testing.T, root string) []string {
	t.Helper()
	for _, program := range []string{"bash", "curl", "git"} {
		testserver.Program(t, program)
	}
	cmd := exec.Command("bash", "-eu", "-c", `published=$("$0" "$1"); eval "$published"; env -0`, filepath.Join(root, "scripts", "proxy"), t.TempDir())
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.NoError(t, err, &problems)
	// With trimmed paths, the results of the last build are found although the
	// folders have other names.
	return append(strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), "CGO_ENABLED=0", "GOFLAGS=-modcacherw -trimpath", "GONOSUMDB=*")
}

var pinned = regexp.MustCompile(`(\S+)@(v[0-9]\S*)`)

// requireVersions checks that a guide has the versions that the examples are
// tested with.
func requireVersions(t *testing.T, root, guide string) {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join(root, "examples", "go.mod"))
	require.NoError(t, err)
	for _, match := range pinned.FindAllStringSubmatch(guide, -1) {
		require.Contains(t, string(mod), "\t"+match[1]+" "+match[2]+"\n")
	}
}

// reader follows a document. It reads the blocks of code in their order, and
// these words of the text before a block:
//
//   - "save … as `FILE`": the block is the content of a file.
//   - "first terminal", "second terminal", "third terminal": the block is typed
//     there, or else where the one before it was typed. The terminals are in the
//     same folder, which is empty at the beginning.
//   - "Ctrl-C in the first terminal": the program that runs there is interrupted.
//
// It types the blocks of the language sh, except those that start a server with
// docker. In blocks of the language console it types the text after "$ " and
// compares the output. "…" in a line stands for any text, and a line that has
// only "…" for any lines. Programs that serve requests run until they are
// interrupted, and "clickid outbox" is repeated until it prints what the guide
// shows, since the outbox delivers in the background.
type reader struct {
	t           *testing.T
	folder      string
	environment []string
	terminals   map[string]*terminal
	current     *terminal
	addresses   *strings.Replacer
}

// newReader returns a reader who has ports of its own. addresses has pairs of an
// address in the document and the reader's.
func newReader(t *testing.T, environment []string, addresses ...string) *reader {
	t.Helper()
	environment = slices.DeleteFunc(slices.Clone(environment), func(variable string) bool {
		return strings.HasPrefix(variable, "CLICKID_") || strings.HasPrefix(variable, "PORT=")
	})
	home := t.TempDir()
	// curl prints no progress in a terminal.
	require.NoError(t, os.WriteFile(filepath.Join(home, ".curlrc"), []byte("no-progress-meter\n"), 0o600))
	bin := filepath.Join(home, "bin")
	shop, receiver := strconv.Itoa(testserver.FreePort(t)), strconv.Itoa(testserver.FreePort(t))
	return &reader{
		t: t, folder: t.TempDir(), terminals: make(map[string]*terminal),
		environment: append(environment, "CURL_HOME="+home, "GOBIN="+bin, "PATH="+bin+":"+os.Getenv("PATH")),
		addresses: strings.NewReplacer(append(addresses, "8080", shop, "2542", receiver,
			"clickid receive\n", "clickid receive -addr 127.0.0.1:"+receiver+"\n")...),
	}
}

var (
	anyBlock    = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	saved       = regexp.MustCompile("(?i)\\bsave\\b[^`]*\\bas `([^`]+)`")
	ordinal     = regexp.MustCompile(`(first|second|third) terminal`)
	interrupted = regexp.MustCompile(`Ctrl-C in the (first|second|third) terminal`)
	serves      = regexp.MustCompile(`(^| )(clickid receive|go run \.)`)
)

// follow follows a document, or a section of it.
func (r *reader) follow(document string) {
	r.t.Helper()
	document = r.addresses.Replace(document)
	read, typed := 0, 0
	for _, at := range anyBlock.FindAllStringSubmatchIndex(document, -1) {
		text, language, block := strings.Join(strings.Fields(document[read:at[0]]), " "), document[at[2]:at[3]], document[at[4]:at[5]]
		read = at[1]
		for _, match := range interrupted.FindAllStringSubmatch(text, -1) {
			r.terminals[match[1]].interrupt()
		}
		if named := ordinal.FindAllStringSubmatch(interrupted.ReplaceAllString(text, ""), -1); named != nil {
			r.use(named[len(named)-1][1])
		}
		file := saved.FindStringSubmatch(text)
		switch {
		case file != nil:
			require.NoError(r.t, os.WriteFile(filepath.Join(r.folder, file[1]), []byte(block), 0o600))
		case language == "sh" && strings.HasPrefix(block, "docker "):
		case language == "sh":
			r.current.run("set -e\n" + block + "set +e\n")
			typed++
		case language == "console":
			r.compare(block)
			typed++
		}
	}
	require.NotZero(r.t, typed, "the document has no commands")
}

// use changes to a terminal.
func (r *reader) use(name string) {
	if r.terminals[name] == nil {
		r.terminals[name] = openTerminal(r.t, name, r.folder, r.environment)
	}
	r.current = r.terminals[name]
}

// compare types the commands of a block and compares their output.
func (r *reader) compare(block string) {
	r.t.Helper()
	for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
		command, shown, _ := strings.Cut(strings.TrimSuffix(part, "\n"), "\n")
		if shown != "" {
			shown += "\n"
		}
		switch {
		case serves.MatchString(command):
			r.current.serve(command, output(shown))
		case strings.HasPrefix(command, "clickid outbox "):
			want, deadline := regexp.MustCompile(output(shown)+"$"), time.Now().Add(4*patience)
			for printed := r.current.run(command); !want.MatchString(printed); printed = r.current.run(command) {
				require.Less(r.t, time.Now(), deadline, "$ %s\n%s\nThe document shows:\n%s", command, printed, shown)
			}
		default:
			require.Regexp(r.t, output(shown)+"$", r.current.run(command), "$ "+command)
		}
	}
}

// output returns a regular expression for the beginning of an output that is
// shown.
func output(shown string) string {
	var b strings.Builder
	b.WriteString("^")
	for line := range strings.Lines(shown) {
		if strings.TrimSpace(line) == "…" {
			b.WriteString("(?s:.*)")
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	return b.String()
}

// terminal is a shell that is typed into.
type terminal struct {
	t     *testing.T
	name  string
	in    io.Writer
	group int
	typed int // commands

	mu      sync.Mutex
	printed bytes.Buffer
	changed chan struct{} // has an element after an output
	ended   chan struct{} // closed when the shell has ended
}

func openTerminal(t *testing.T, name, folder string, environment []string) *terminal {
	t.Helper()
	term := &terminal{t: t, name: name, changed: make(chan struct{}, 1), ended: make(chan struct{})}
	shell := exec.Command("bash")
	shell.Dir, shell.Env = folder, environment
	shell.Stdout, shell.Stderr = term, term
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := shell.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, shell.Start())
	term.in, term.group = in, shell.Process.Pid
	go func() {
		_ = shell.Wait() // the shell is killed
		close(term.ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-term.group, syscall.SIGKILL) // it may have ended
		<-term.ended
		if t.Failed() {
			t.Logf("the %s terminal:\n%s", name, term.since(0))
		}
	})
	// The shell outlives the programs that are interrupted, as an interactive one
	// does.
	term.run("trap : INT")
	return term
}

// Write implements [io.Writer] for the output of the shell.
func (term *terminal) Write(p []byte) (int, error) {
	term.mu.Lock()
	defer term.mu.Unlock()
	select {
	case term.changed <- struct{}{}:
	default:
	}
	return term.printed.Write(p)
}

// since returns the output from a position on.
func (term *terminal) since(position int) string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.printed.String()[position:]
}

// run types a command, waits until it has ended and returns its output.
func (term *terminal) run(command string) string {
	term.t.Helper()
	begin := term.enter(command)
	return term.await(begin, regexp.MustCompile(`(?s)^(.*)`+term.prompt()))
}

// serve types a command that does not end, and waits for its output.
func (term *terminal) serve(command, output string) {
	term.t.Helper()
	term.await(term.enter(command), regexp.MustCompile(output))
}

// interrupt presses Ctrl-C and waits until the program has ended.
func (term *terminal) interrupt() {
	term.t.Helper()
	require.NoError(term.t, syscall.Kill(-term.group, syscall.SIGINT))
	term.await(0, regexp.MustCompile(term.prompt()))
}

// prompt is printed after the latest command.
func (term *terminal) prompt() string { return fmt.Sprintf("the end of command %d\n", term.typed) }

// enter types a command. It returns the position of its output.
func (term *terminal) enter(command string) int {
	term.t.Helper()
	term.typed++
	position := len(term.since(0))
	// Programs must not read the commands that follow.
	script := filepath.Join(term.t.TempDir(), "command")
	require.NoError(term.t, os.WriteFile(script, []byte(command+"\n"), 0o600))
	_, err := fmt.Fprintf(term.in, "source '%s' </dev/null; printf '%%s' '%s'\n", script, term.prompt())
	require.NoError(term.t, err)
	return position
}

// await waits until the output since a position matches, and returns its first
// group.
func (term *terminal) await(position int, pattern *regexp.Regexp) string {
	term.t.Helper()
	timeout := time.After(10 * patience) // it may build a program
	for {
		if match := pattern.FindStringSubmatch(term.since(position)); match != nil {
			return match[len(match)-1]
		}
		select {
		case <-term.changed:
		case <-term.ended:
			term.t.Fatalf("a command failed in the %s terminal", term.name)
		case <-timeout:
			term.t.Fatalf("the %s terminal does not print %q", term.name, pattern)
		}
	}
}
