package upload

import (
	"fmt"
	"os"

	"github.com/gofrs/flock"
)

// lock keeps other uploads from a file that this one replaces. The system releases
// the lock of a process that dies. On a file system without locks it does nothing.
func lock(path string) (unlock func(), err error) {
	for path != "" {
		l := flock.New(path + ".lock")
		locked, err := l.TryLock()
		if err != nil {
			break // writing the file itself fails as well, or the file system has no locks
		}
		if !locked {
			_ = l.Close()
			return nil, fmt.Errorf("another upload uses %s; wait until it ends, or name other files with -checkpoint and -rejects", path)
		}
		held, err := l.Stat()
		if err == nil && isAt(held, l.Path()) {
			return func() {
				if held.Size() == 0 {
					_ = os.Remove(l.Path())
				}
				_ = l.Close()
			}, nil
		}
		_ = l.Close() // its owner has removed the file since TryLock opened it
	}
	return func() {}, nil
}

// isAt reports whether a file is the one at a path.
func isAt(file os.FileInfo, path string) bool {
	there, err := os.Stat(path)
	return err == nil && os.SameFile(file, there)
}
