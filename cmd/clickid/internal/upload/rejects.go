package upload

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/clickid/clickid/outbox"
)

// rejects is the file of the rows that are not sent. It is created with the
// first of them.
type rejects struct {
	path string
	file *os.File
	csv  *csv.Writer
}

// Partial returns the path of a list that is not complete.
func Partial(path string) string { return path + ".part" }

var rejectsHeader = []string{"line", "id", "field", "reason"}

// checkRejects returns an error if path is a file that no earlier run has written. A
// run would replace or remove it.
func checkRejects(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the list of rejected rows: %w", err)
	}
	defer func() { _ = file.Close() }()
	header, err := csv.NewReader(io.LimitReader(file, 1<<10)).Read()
	if errors.Is(err, io.EOF) || err == nil && slices.Equal(header, rejectsHeader) {
		return nil
	}
	return fmt.Errorf("%s is not a list of rejected rows; remove it, or name another file with -rejects", path)
}

// add adds a row. An event ID that contains an e-mail address is replaced with
// a part of its hash.
func (r *rejects) add(line int, id, field, reason string) error {
	err := r.open()
	if err == nil {
		err = r.csv.Write([]string{strconv.Itoa(line), outbox.VisibleID(id), field, reason})
	}
	if err != nil {
		return fmt.Errorf("writing the rejected rows: %w", err)
	}
	return nil
}

// open opens the file at its end.
func (r *rejects) open() error {
	if r.file != nil {
		return nil
	}
	file, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	r.file, r.csv = file, csv.NewWriter(file)
	if info, err := file.Stat(); err != nil || info.Size() > 0 {
		return err
	}
	return r.csv.Write(rejectsHeader)
}

// flush makes the rows so far readable.
func (r *rejects) flush() error {
	if r.file == nil {
		return nil
	}
	r.csv.Flush()
	return r.csv.Error()
}

func (r *rejects) close() error {
	if r.file == nil {
		return nil
	}
	err := errors.Join(r.flush(), r.file.Close())
	r.file = nil
	return err
}

// replace gives the file the path, in place of that of an earlier run.
func (r *rejects) replace(path string) error {
	err := r.close()
	if err == nil {
		err = os.Rename(r.path, path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Remove(path)
	}
	r.path = path
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing the rejected rows: %w", err)
	}
	return nil
}

// resume discards the file and continues that of an earlier run.
func (r *rejects) resume(path string) {
	_ = r.close()
	_ = os.Remove(r.path)
	r.path = path
}
