package upload

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// checkpoint is how far an upload has come. It belongs to one content of the
// file, one destination and one mapping.
type checkpoint struct {
	Fingerprint string `json:"fingerprint"`
	Rows        int    `json:"rows"` // that need not be sent again
	Done        bool   `json:"done"`
	Totals      Totals `json:"totals"`

	path string
}

// loadCheckpoint returns the checkpoint of an earlier run, or a new one.
func loadCheckpoint(path, fingerprint string, restart bool) (*checkpoint, error) {
	fresh := &checkpoint{Fingerprint: fingerprint, path: path}
	if path == "" || restart {
		return fresh, nil
	}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fresh, nil
	case err != nil:
		return nil, err
	}
	c := &checkpoint{path: path}
	if err := json.Unmarshal(content, c); err != nil || c.Fingerprint == "" || c.Rows < 0 {
		return nil, fmt.Errorf("%s is not a checkpoint; remove it, or name another file with -checkpoint", path)
	}
	if c.Rows == 0 {
		return fresh, nil // the earlier run has sent nothing, or the file had no rows
	}
	if c.Fingerprint != fingerprint {
		return nil, fmt.Errorf("%s belongs to another content, destination or mapping; remove it or pass -restart to send the whole file", path)
	}
	return c, nil
}

// save replaces the file, so that a crash leaves the old or the new one.
func (c *checkpoint) save() error {
	if c.path == "" {
		return nil
	}
	content, err := json.Marshal(c)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(c.path), filepath.Base(c.path)+".*")
	if err != nil {
		return fmt.Errorf("writing the checkpoint: %w", err)
	}
	_, err = file.Write(append(content, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), c.path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("writing the checkpoint: %w", err)
	}
	return nil
}
