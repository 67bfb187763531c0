// Package memfs is a file system in memory.
package memfs

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"maps"
	"slices"
)

// New returns a file system with the given files, by their path.
func New(files map[string]string) fs.FS {
	// A ZIP archive has every method that readers of a file system look for.
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		// Writing to memory does not fail.
		file, _ := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		_, _ = file.Write([]byte(files[name]))
	}
	_ = w.Close()
	r, _ := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len())) // it is complete
	return r
}
