package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

const click = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

// write writes a file and returns its path.
func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sales")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func acceptedIDs(platform *clickidtest.Server) []string {
	ids := []string{}
	for _, e := range platform.Accepted() {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

const sales = "id,time,value,currency,clkid,note\n" +
	"1001,2026-11-20T14:03:00Z,149.99,EUR," + click + ",ä\n" +
	"1002,2026-11-20T15:03:00Z,19.99,EUR," + click + ",\"two\nlines, \"\"quoted\"\"\"\n"

func TestUpload_files(t *testing.T) {
	t.Parallel()
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(sales)
	require.NoError(t, err)
	bare, err := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().String(sales)
	require.NoError(t, err)
	latin, err := charmap.Windows1252.NewEncoder().String(sales)
	require.NoError(t, err)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err = w.Write([]byte(sales))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	ndjson := `{"type":"purchase","id":"1001","time":"2026-11-20T14:03:00Z","click":{"id":"` + click + `"},"value":{"number":149.99,"currency":"EUR"}}` + "\r\n\n" +
		`{"type":"lead","id":"1002","time":"2026-11-20T14:03:00Z","click":{"id":"` + click + `"}}`
	for name, row := range map[string]struct {
		content string
		args    []string
	}{
		"plain":               {sales, nil},
		"CRLF":                {strings.ReplaceAll(sales, "\n", "\r\n"), nil},
		"byte order mark":     {"\ufeff" + sales, nil},
		"UTF-16":              {utf16, nil},
		"UTF-16 without mark": {bare, []string{"-encoding", "utf-16le"}},
		"windows-1252":        {latin, []string{"-encoding", "windows-1252"}},
		"gzip":                {zipped.String(), nil},
		"zstd":                {string(z.EncodeAll([]byte(sales), nil)), nil},
		"semicolons":          {strings.ReplaceAll(strings.ReplaceAll(sales, ",", ";"), "lines; ", "lines, "), nil},
		"tabs":                {strings.ReplaceAll(sales, ",", "\t"), nil},
		"line of Excel":       {"sep=,\r\n" + sales, nil},
		"empty rows":          {strings.ReplaceAll(sales, "\n1002", "\n\n,,,,,\n , ,\n1002") + ",,,,,\n", nil},
		"without final break": {strings.TrimSuffix(sales, "\n"), nil},
		"other names":         {strings.Replace(sales, "id,time,value,currency,clkid", "Order Number,Created-At,TOTAL,Currency Code,Click ID", 1), nil},
		"mapped":              {strings.Replace(sales, "id,time,value", "Beleg,Datum,Betrag", 1), []string{"-map", "id=Beleg", "-map", "time=datum", "-map", "value=Betrag"}},
		"mapped over a name":  {strings.Replace(sales, "id,time", "time,id", 1), []string{"-map", "id=time", "-map", "time=id"}},
		"NDJSON":              {ndjson, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			platform := clickidtest.NewServer(t)
			r := callSending(t, platform, "", append([]string{"upload", "-json"}, append(row.args, write(t, []byte(row.content)))...)...)
			require.Equal(t, 0, r.code, r.stderr)
			require.Equal(t, []string{"1001", "1002"}, acceptedIDs(platform))
			require.JSONEq(t, `{"rows":2,"invalid":0,"accepted":2,"rejected":0,"warnings":0}`, r.stdout)
		})
	}
}

func TestUpload_stdin(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	cmd := sending(t, platform, sales, "upload", "-")
	cmd.Dir = t.TempDir()
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Len(t, acceptedIDs(platform), 2)
	requireEmpty(t, cmd.Dir)
}

// TestUpload_repeatedID warns of rows that the platform accepts and counts once, such
// as with the wrong column for the ID.
func TestUpload_repeatedID(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	r := callSending(t, platform, "", "upload", write(t, []byte(strings.ReplaceAll(sales, "1002", "1001"))))
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, "2 rows: 2 accepted, 0 rejected by the platform, 0 invalid, 1 with a warning\n"+
		"warning: line 3: the row has the type and the ID of an earlier row; the platform counts them once (1 rows)\n", r.stdout)
}

// TestUpload_otherFiles names files that the command must not replace or remove.
func TestUpload_otherFiles(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := write(t, []byte(sales))
	notes := write(t, []byte("my notes\n"))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(notes, link))
	part := filepath.Join(t.TempDir(), "list.part")
	require.NoError(t, os.WriteFile(part, []byte(sales), 0o600))
	for _, row := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"-rejects", notes, path}, exitFailed, "is not a list of rejected rows; remove it, or name another file with -rejects"},
		{[]string{"-checkpoint", notes, path}, exitFailed, "is not a checkpoint; remove it"},
		{[]string{"-rejects", link, path}, exitUsage, "must be regular files or new ones"},
		{[]string{"-checkpoint", link, "-restart", path}, exitUsage, "must be regular files or new ones"},
		{[]string{"-rejects", t.TempDir(), path}, exitUsage, "must be regular files or new ones"},
		{[]string{"-rejects", os.DevNull, path}, exitUsage, "must be regular files or new ones"},
		{[]string{"-rejects", strings.TrimSuffix(part, ".part"), part}, exitUsage, "must be different files"},
	} {
		r := callSending(t, platform, "", append([]string{"upload"}, row.args...)...)
		require.Equal(t, row.code, r.code, "%v: %s", row.args, r.stderr)
		require.Contains(t, r.stderr, row.text)
	}
	content, err := os.ReadFile(notes)
	require.NoError(t, err)
	require.Equal(t, "my notes\n", string(content))
	require.FileExists(t, part)
	require.Empty(t, platform.Requests())
}

func TestUpload_unreadable(t *testing.T) {
	t.Parallel()
	head := "id,time,value,currency,clkid\n"
	for name, row := range map[string]struct {
		content string
		args    []string
		want    string
	}{
		"empty":               {"", nil, "the file is empty"},
		"no ID":               {"time,value\n", nil, "no column for the field id; name it with -map id=COLUMN; its columns are time, value"},
		"two columns":         {"id,order number,time\n", nil, `the columns "id" and "order number" both are the field id; choose with -map id=COLUMN`},
		"plain addresses":     {"id,time,E-Mail\n", nil, `the column "E-Mail" has plain text; -hash hashes it before it is sent, -ignore "E-Mail" leaves it out`},
		"unknown column":      {sales, []string{"-map", "value=Betrag"}, `the file has no column "Betrag"; its columns are`},
		"Latin-1":             {head + "1,2026-11-20T14:03:00Z,1.00,EUR,\xe4\n", nil, "line 2: the text is not UTF-8; -encoding windows-1252"},
		"UTF-16":              {"i\x00d\x00,\x00", nil, "-encoding utf-16le"},
		"quote in the middle": {head + "1,a\"b,,,\n", nil, "line 2: the quotes are not those of CSV (RFC 4180)"},
		"open quote":          {head + "1,\"" + strings.Repeat("x\n", 600_000), nil, "more than 1 MiB; a quote may not be closed"},
		"long line of JSON":   {`{"id":"` + strings.Repeat("x", 2<<20) + `"}`, []string{"-format", "ndjson"}, "line 1: the row has more than 1 MiB"},
		"cut gzip":            {"\x1f\x8b\x08\x00\x00", nil, "the compressed file is damaged or incomplete: unexpected EOF"},
		"damaged zstd":        {"\x28\xb5\x2f\xfdgarbage", nil, "the compressed file is damaged or incomplete: "},
		"spreadsheet":         {"PK\x03\x04\x14\x00", nil, "it is a spreadsheet or an archive; save it as CSV"},
		"old spreadsheet":     {"\xd0\xcf\x11\xe0\xa1\xb1", nil, "it is a spreadsheet or an archive; save it as CSV"},
		"carriage returns":    {strings.ReplaceAll(sales, "\n", "\r"), nil, "the lines end with carriage returns only; save the file with line feeds"},
		"array of JSON":       {"[\n  {\"type\": \"purchase\"}\n]\n", nil, "the file is an array in JSON; write each event on a line of its own"},
		"mistyped -ignore":    {sales, []string{"-ignore", "nota"}, `-ignore: the file has no column "nota"; its columns are id, time, value, currency, clkid, note`},
		"columns of NDJSON":   {`{"type":"purchase"}`, []string{"-ignore", "user"}, "-map and -ignore are for CSV, and the file is NDJSON"},
		"big-endian UTF-16":   {"\x00i\x00d\x00,", nil, "-encoding utf-16be"},
		"folder":              {"", []string{os.TempDir()}, "is not a regular file"},
		"missing":             {"", []string{"/nonexistent"}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			platform := clickidtest.NewServer(t)
			args := append([]string{"upload"}, row.args...)
			if name != "folder" && name != "missing" {
				args = append(args, write(t, []byte(row.content)))
			}
			r := callSending(t, platform, "", args...)
			require.Equal(t, exitFailed, r.code, r.stderr)
			require.Contains(t, r.stderr, row.want)
			require.Empty(t, r.stdout)
			require.Empty(t, platform.Requests())
		})
	}
}

func TestUpload_invalidRows(t *testing.T) {
	t.Parallel()
	path := write(t, []byte("id;time;value;currency;clkid\n"+
		"1001;2026-11-20 14:03;149.99;EUR;"+click+"\n"+
		"1002;2026-11-20 14:03;149,99;EUR;"+click+"\n"+
		"1003;20.11.2026;1.00;EUR;"+click+"\n"+
		"1004;2026-11-20 14:03;1.00;EUR;\n"+
		"1005;2026-11-20 14:03\n"+
		"anna@example.com;2026-11-20 14:03;1.00;EUR;"+click+"\n"+
		"1007;2099-11-20 14:03;1.00;EUR;"+click+"\n"))
	platform := clickidtest.NewServer(t)
	r := callSending(t, platform, "", "upload", path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "nothing was sent: 7 of 7 rows are invalid")
	rejects := func() string {
		content, err := os.ReadFile(path + ".rejects.csv")
		require.NoError(t, err)
		return string(content)
	}
	require.Contains(t, rejects(), `2,1001,time,"has no time zone; -timezone names it, such as Europe/Berlin"`)

	r = callSending(t, platform, "", "upload", "-timezone", "Europe/Berlin", path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "nothing was sent: 6 of 7 rows are invalid; see "+path+".rejects.csv")
	require.Empty(t, platform.Requests())
	require.Equal(t, `line,id,field,reason
3,1002,value,"has a comma; write it with a decimal point and without separators of thousands, such as 1499.00"
4,1003,time,is not a time such as 2026-05-04T15:04:05Z; upload -time-layout describes other forms
5,1004,click,"has neither a click ID nor an identity, so it cannot be attributed"
6,,,"the row has 2 columns, the first row 5"
`, rejects()[:strings.Index(rejects(), "7,")])
	require.NotContains(t, rejects(), "anna@")

	r = callSending(t, platform, "", "upload", "-timezone", "Europe/Berlin", "-skip-invalid", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, "7 rows: 1 accepted, 0 rejected by the platform, 6 invalid, 0 with a warning\n", r.stdout)
	events := platform.Accepted()
	require.Len(t, events, 1)
	require.Equal(t, "2026-11-20T13:03:00Z", events[0].Time.UTC().Format("2006-01-02T15:04:05Z"))
	require.Equal(t, "149.99", events[0].Value)

	r = callSending(t, platform, "", "upload", "-timezone", "Europe/Berlin", "-skip-invalid", path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "has been sent before; -restart sends it again")
	r = callSending(t, platform, "", "upload", "-timezone", "UTC", "-skip-invalid", path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "belongs to another content, destination or mapping")
	r = callSending(t, platform, "", "upload", "-timezone", "Europe/Berlin", "-skip-invalid", "-restart", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Len(t, platform.Accepted(), 1, "the platform counts an event once")
	require.NoFileExists(t, path+".rejects.csv.part")
}

func TestUpload_hashed(t *testing.T) {
	t.Parallel()
	path := write(t, []byte("id,time,E-Mail,Phone,liveramp,id5\n1,2026-11-20T14:03:00Z,Anna@Example.com,0171 1234567,XY1,\n2,2026-11-20T14:03:00Z,,,,ID5-1\n3,2026-11-20T14:03:00Z,no address,,,\n"))
	platform := clickidtest.NewServer(t)
	r := callSending(t, platform, "", "upload", "-hash", "-region", "DE", "-skip-invalid", path)
	require.Equal(t, 0, r.code, r.stderr)
	events := platform.Accepted()
	require.Len(t, events, 2)
	require.NotContains(t, string(events[0].Raw), "nna@")
	email, err := clickid.HashEmail("anna@example.com")
	require.NoError(t, err)
	phone, err := clickid.HashPhone("+491711234567")
	require.NoError(t, err)
	require.Contains(t, string(events[0].Raw), email)
	require.Contains(t, string(events[0].Raw), phone)
	require.Equal(t, "XY1", events[0].UIDs[0].Value)
	require.Equal(t, "ID5-1", events[1].UIDs[0].Value)
}

func TestUpload_dryRun(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := write(t, []byte(sales))
	r := callSending(t, platform, "", "upload", "-dry-run", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Empty(t, platform.Requests())
	require.NoFileExists(t, path+".checkpoint")
}

func TestUpload_refusedEvents(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"1002"}})
	path := write(t, []byte(sales))
	r := callSending(t, platform, "", "upload", path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "the platform rejected 1 rows; see "+path+".rejects.csv")
	rejects, err := os.ReadFile(path + ".rejects.csv")
	require.NoError(t, err)
	require.Contains(t, string(rejects), "\n3,1002,,")
	require.Equal(t, []string{"1001"}, acceptedIDs(platform))
}

// TestUpload_sameFile checks that no file of the command takes the place of
// another.
func TestUpload_sameFile(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := write(t, []byte(sales))
	link := path + ".link"
	require.NoError(t, os.Link(path, link))
	for _, args := range [][]string{
		{"-rejects", path}, {"-checkpoint", path, "-restart"}, {"-rejects", link},
		{"-rejects", path + ".state", "-checkpoint", filepath.Dir(path) + "/./" + filepath.Base(path) + ".state"},
	} {
		r := callSending(t, platform, "", append(append([]string{"upload"}, args...), path)...)
		require.Equal(t, exitUsage, r.code, r.stderr)
		require.Contains(t, r.stderr, "the file, -rejects and -checkpoint must be different files")
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, sales, string(content))
	}
	require.Empty(t, platform.Requests())
}

// TestUpload_warnings checks that an operator sees which fields are left out and the
// warnings of the platform, also after an interruption.
func TestUpload_warnings(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	platform.Always(clickidtest.Fault{Unprocessed: 1})
	path := write(t, []byte("id,time,clkid,name\n1,2026-11-20T14:03:00Z,"+click+",\n2,2026-11-20T14:03:00Z,"+click+",a\n3,2026-11-20T14:03:00Z,"+click+",b\n"))
	want := "3 rows: 3 accepted, 0 rejected by the platform, 0 invalid, 2 with a warning\n" +
		"warning: line 3: custom_name was left out: it is for the type custom only (2 rows)\n" +
		"warning of the platform: the platform received 3 events and processed 2, and names no reason: they may never be attributed\n"
	r := callSending(t, platform, "", "upload", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, want, r.stdout)
	r = callSending(t, platform, "", "upload", path)
	require.Equal(t, exitFailed, r.code, r.stderr)
	require.Equal(t, want, r.stdout)
}

// TestUpload_checkpoint checks that a file is not sent whose progress cannot be
// kept, and that a file of which nothing was sent may change.
func TestUpload_checkpoint(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	path := write(t, []byte(sales))
	r := callSending(t, platform, "", "upload", "-checkpoint", filepath.Join(path+".missing", "state"), path)
	require.Equal(t, exitFailed, r.code, r.stderr)
	require.Contains(t, r.stderr, "writing the checkpoint: ")
	require.Empty(t, platform.Requests())

	lift := platform.Always(clickidtest.Fault{Status: http.StatusUnauthorized})
	r = callSending(t, platform, "", "upload", path)
	require.Equal(t, exitFailed, r.code, r.stderr)
	require.Equal(t, 1, strings.Count(r.stderr, "request failed: "), r.stderr)
	lift()
	require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(sales, "100", "200")), 0o600))
	r = callSending(t, platform, "", "upload", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Equal(t, []string{"2001", "2002"}, acceptedIDs(platform))
}

func TestUpload_outage(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	platform.Next(clickidtest.Fault{Times: 2, Status: http.StatusServiceUnavailable})
	path := write(t, []byte(sales))
	r := callSending(t, platform, "", "upload", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Len(t, acceptedIDs(platform), 2)

	lift := platform.Always(clickidtest.Fault{Status: http.StatusUnauthorized})
	path = write(t, []byte(strings.ReplaceAll(sales, "100", "200")))
	r = callSending(t, platform, "", "upload", path)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "the same command continues")
	lift()
	r = callSending(t, platform, "", "upload", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Len(t, acceptedIDs(platform), 4)
}

// hangingPlatform does not respond to requests.
type hangingPlatform struct{ requests int }

func (p *hangingPlatform) RoundTrip(r *http.Request) (*http.Response, error) {
	p.requests++
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestUpload_slowPlatform checks that timeouts use all attempts of an upload.
func TestUpload_slowPlatform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(hangingPlatform)
		cfg := capi.Config{
			APIKey: clickidtest.APIKey, Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
			HTTPClient: &http.Client{Transport: p}, Logger: slog.New(slog.DiscardHandler),
		}
		waitForPlatform(&cfg)
		client, err := capi.New(cfg)
		require.NoError(t, err)
		start := time.Now()
		_, err = client.Send(t.Context(), conversion("1"))
		require.Error(t, err)
		require.Equal(t, cfg.Retry.Attempts, p.requests)
		require.Less(t, time.Since(start), cfg.TotalTimeout)
	})
}

// TestUpload_killed kills an upload and runs it again.
func TestUpload_killed(t *testing.T) {
	t.Parallel()
	const rows = 30_000
	var b bytes.Buffer
	b.WriteString("id,time,value,currency,clkid\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d,2026-11-20T14:03:00Z,%d.99,EUR,%s\n", i, i, click)
	}
	path := write(t, b.Bytes())
	platform := clickidtest.NewServer(t)
	release := make(chan struct{})
	platform.Next(clickidtest.Fault{Times: 3, Name: "none"}, clickidtest.Fault{Hold: release})
	cmd := sending(t, platform, "", "upload", path)
	require.NoError(t, cmd.Start())
	_, err := platform.Wait(t.Context(), 5_000)
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	close(release)
	require.Less(t, platform.Count(), rows)

	r := callSending(t, platform, "", "upload", path)
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, fmt.Sprintf("%d rows: %d accepted", rows, rows))
	require.Equal(t, rows, platform.Count())
}
