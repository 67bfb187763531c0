package upload

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// Encodings are the names of the encodings of characters. Without a name, a
// file is UTF-8, or UTF-16 with a byte order mark.
func Encodings() []string { return []string{"utf-8", "utf-16le", "utf-16be", "windows-1252", "latin1"} }

func encodingOf(name string) encoding.Encoding {
	switch name {
	case "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case "windows-1252":
		return charmap.Windows1252
	case "latin1":
		return charmap.ISO8859_1
	}
	return nil
}

// Input is a file that is read more than once.
type Input struct {
	Name     string // for messages
	Encoding string // one of [Encodings], or ""

	file *os.File
	temp bool
}

// Open opens a file, or keeps a copy of stdin if the name is "-".
func Open(name string, stdin io.Reader) (*Input, error) {
	if name != "-" {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() { // opening a pipe waits for its writer
			return nil, fmt.Errorf("%s is not a regular file; \"-\" reads standard input", name)
		}
		file, err := os.Open(name)
		return &Input{Name: name, file: file}, err
	}
	file, err := os.CreateTemp("", "clickid-upload-*")
	if err != nil {
		return nil, err
	}
	in := &Input{Name: "standard input", file: file, temp: true}
	if _, err := io.Copy(file, stdin); err != nil {
		in.Close()
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	return in, nil
}

// Close closes the file and removes a copy of stdin.
func (in *Input) Close() {
	_ = in.file.Close()
	if in.temp {
		_ = os.Remove(in.file.Name())
	}
}

// Text returns the content from its beginning, decompressed and in UTF-8.
// raw gets the bytes of the file as they are read; nil ignores them.
func (in *Input) Text(raw io.Writer) (*bufio.Reader, error) {
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading %s: %w", in.Name, err)
	}
	var source io.Reader = in.file
	if raw != nil {
		source = io.TeeReader(source, raw)
	}
	content, err := decompressed(bufio.NewReaderSize(source, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", in.Name, err)
	}
	return in.decoded(content)
}

func decompressed(r *bufio.Reader) (*bufio.Reader, error) {
	magic, _ := r.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		plain, err := gzip.NewReader(r)
		return bufio.NewReader(compressed{plain}), damaged(err)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		plain, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(128<<20))
		return bufio.NewReader(compressed{plain}), damaged(err)
	case bytes.Equal(magic, []byte("PK\x03\x04")), bytes.Equal(magic, []byte{0xd0, 0xcf, 0x11, 0xe0}):
		return nil, errors.New("it is a spreadsheet or an archive; save it as CSV")
	}
	return r, nil
}

// compressed is a reader of compressed content.
type compressed struct{ io.Reader }

func (c compressed) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, damaged(err)
}

func damaged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the compressed file is damaged or incomplete: %w", err)
}

var byteOrderMark = []byte{0xef, 0xbb, 0xbf}

func (in *Input) decoded(r *bufio.Reader) (*bufio.Reader, error) {
	enc := encodingOf(in.Encoding)
	start, err := r.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", in.Name, err)
	}
	switch {
	case enc != nil:
	case bytes.HasPrefix(start, byteOrderMark):
		_, _ = r.Discard(len(byteOrderMark))
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}), bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		enc = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case bytes.IndexByte(start, 0) >= 0:
		name := []string{"utf-16be", "utf-16le"}[bytes.IndexByte(start, 0)%2]
		return nil, fmt.Errorf("%s has zero bytes; -encoding %s reads UTF-16 without a byte order mark", in.Name, name)
	}
	if enc != nil {
		return bufio.NewReader(enc.NewDecoder().Reader(r)), nil
	}
	return r, nil
}
