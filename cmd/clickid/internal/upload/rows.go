package upload

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/cmd/clickid/internal/fields"
)

// maxRow limits a row, so that a quote that is never closed does not swallow
// the file.
const maxRow = 1 << 20 // bytes

var (
	errRowTooLong = errors.New("the row has more than 1 MiB; a quote may not be closed")
	errNotUTF8    = errors.New("the text is not UTF-8; -encoding windows-1252 reads files of older spreadsheets")
)

// rows returns the events of a file.
type rows interface {
	// next returns the next event and its line. The error is io.EOF at the end,
	// or a *fields.Problem if this row is invalid and others may follow.
	next() (line int, e clickid.Event, err error)
}

// rows opens the rows of the input.
func (c Config) rows(text *bufio.Reader) (rows, error) {
	format := c.Format
	start, _ := text.Peek(64)
	start = bytes.TrimSpace(start)
	if first, ok := bytes.CutPrefix(start, []byte("[")); ok && bytes.HasPrefix(bytes.TrimSpace(first), []byte("{")) {
		return nil, errors.New("the file is an array in JSON; write each event on a line of its own, without brackets and commas around it")
	}
	if format == "" {
		format = FormatCSV
		if bytes.HasPrefix(start, []byte("{")) {
			format = FormatNDJSON
		}
	}
	if format == FormatNDJSON {
		if len(c.Map)+len(c.Ignore) > 0 {
			return nil, errors.New("-map and -ignore are for CSV, and the file is NDJSON")
		}
		scanner := bufio.NewScanner(text)
		scanner.Buffer(make([]byte, 0, 64<<10), maxRow)
		return &ndjsonRows{scanner: scanner}, nil
	}
	return c.csvRows(text)
}

type ndjsonRows struct {
	scanner *bufio.Scanner
	line    int
}

func (n *ndjsonRows) next() (int, clickid.Event, error) {
	for n.scanner.Scan() {
		n.line++
		text := bytes.TrimSpace(n.scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		if !utf8.Valid(text) {
			return n.line, clickid.Event{}, fmt.Errorf("line %d: %w", n.line, errNotUTF8)
		}
		e, err := fields.Decode(text)
		return n.line, e, err
	}
	err := n.scanner.Err()
	switch {
	case err == nil:
		return n.line, clickid.Event{}, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		err = errRowTooLong
	}
	return n.line + 1, clickid.Event{}, fmt.Errorf("line %d: %w", n.line+1, err)
}

type csvRows struct {
	reader *csv.Reader
	budget *budget
	opts   fields.Options
	fields []fields.Field
	index  []int // of the columns of fields
	width  int   // columns of the first row
	texts  []string
}

// budget fails when a row is too long. It is refilled before each row.
type budget struct {
	io.Reader
	left int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := b.Reader.Read(p)
	b.left -= n
	return n, err
}

func (c Config) csvRows(text *bufio.Reader) (rows, error) {
	delimiter, err := c.delimiter(text)
	if err != nil {
		return nil, err
	}
	b := &budget{text, maxRow}
	r := &csvRows{reader: csv.NewReader(b), budget: b, opts: c.Fields}
	r.reader.Comma = delimiter
	r.reader.ReuseRecord = true
	header, err := r.reader.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the file is empty; the first row must have the names of the columns")
	case err != nil:
		return nil, csvError(err)
	case slices.ContainsFunc(header, func(name string) bool { return strings.Contains(name, "\r") }):
		return nil, errors.New("the lines end with carriage returns only; save the file with line feeds")
	}
	if err := c.match(r, slices.Clone(header)); err != nil {
		return nil, err
	}
	r.texts, r.width = make([]string, len(r.fields)), len(header)
	return r, nil
}

// delimiter returns the delimiter of the first row, and skips the line "sep=;"
// of spreadsheets.
func (c Config) delimiter(text *bufio.Reader) (rune, error) {
	start, err := text.Peek(4096)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return 0, err
	}
	line, _, _ := bytes.Cut(start, []byte("\n"))
	if sep := bytes.TrimSuffix(line, []byte("\r")); len(sep) == len("sep=;") && bytes.EqualFold(sep[:4], []byte("sep=")) {
		_, err := text.ReadString('\n')
		return rune(sep[4]), err
	}
	if c.Delimiter != 0 {
		return c.Delimiter, nil
	}
	best, most := ',', 0
	for _, r := range []rune{',', ';', '\t', '|'} {
		if n := bytes.Count(line, []byte(string(r))); n > most {
			best, most = r, n
		}
	}
	return best, nil
}

// match finds the fields of the columns.
func (c Config) match(r *csvRows, header []string) error {
	column := make(map[string]string) // of each field
	for i, name := range header {
		name = strings.TrimSpace(name)
		if !utf8.ValidString(name) {
			return fmt.Errorf("line 1: %w", errNotUTF8)
		}
		f, ok := c.fieldOf(name)
		if !ok {
			continue
		}
		if earlier, twice := column[f.Name]; twice {
			return fmt.Errorf("the columns %q and %q both are the field %s; choose with -map %s=COLUMN", earlier, name, f.Name, f.Name)
		}
		if (f.Name == "email" || f.Name == "phone") && !c.Fields.Hash {
			return fmt.Errorf("the column %q has plain text; -hash hashes it before it is sent, -ignore %q leaves it out", name, name)
		}
		column[f.Name] = name
		r.fields, r.index = append(r.fields, f), append(r.index, i)
	}
	for field, name := range c.Map {
		if column[field] == "" {
			return fmt.Errorf("-map: the file has no column %q; its columns are %s", name, strings.Join(header, ", "))
		}
	}
	for _, name := range c.Ignore {
		if !slices.ContainsFunc(header, func(column string) bool { return strings.EqualFold(strings.TrimSpace(column), name) }) {
			return fmt.Errorf("-ignore: the file has no column %q; its columns are %s", name, strings.Join(header, ", "))
		}
	}
	for _, required := range []string{"id", "time"} {
		if column[required] == "" {
			return fmt.Errorf("the file has no column for the field %s; name it with -map %s=COLUMN; its columns are %s", required, required, strings.Join(header, ", "))
		}
	}
	return nil
}

// fieldOf returns the field of a column.
func (c Config) fieldOf(column string) (fields.Field, bool) {
	if slices.ContainsFunc(c.Ignore, func(s string) bool { return strings.EqualFold(s, column) }) {
		return fields.Field{}, false
	}
	for field, name := range c.Map {
		if strings.EqualFold(name, column) {
			return fields.Find(field)
		}
	}
	f, ok := fields.Find(column)
	if _, mapped := c.Map[f.Name]; mapped {
		return fields.Field{}, false // -map names another column for it
	}
	return f, ok
}

func (r *csvRows) next() (int, clickid.Event, error) {
	var (
		record []string
		err    error
	)
	for empty := true; empty; { // spreadsheets export rows of delimiters
		r.budget.left = maxRow
		record, err = r.reader.Read()
		empty = len(record) > 0 && !slices.ContainsFunc(record, func(text string) bool { return strings.TrimSpace(text) != "" })
	}
	switch {
	case errors.Is(err, csv.ErrFieldCount):
		line, _ := r.reader.FieldPos(0)
		return line, clickid.Event{}, &fields.Problem{Reason: fmt.Sprintf("the row has %d columns, the first row %d", len(record), r.width)}
	case errors.Is(err, io.EOF):
		return 0, clickid.Event{}, io.EOF
	case err != nil:
		return 0, clickid.Event{}, csvError(err)
	}
	line, _ := r.reader.FieldPos(0)
	for i, column := range r.index {
		if !utf8.ValidString(record[column]) {
			return line, clickid.Event{}, fmt.Errorf("line %d: %w", line, errNotUTF8)
		}
		r.texts[i] = record[column]
	}
	e, err := r.opts.Event(r.fields, r.texts)
	return line, e, err
}

func csvError(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("line %d: the quotes are not those of CSV (RFC 4180): %w", parse.Line, parse.Err)
	}
	return err
}
