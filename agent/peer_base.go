package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"bolide/agent/remote"
	"bolide/imagecache/disk"
)

// pullBase copies a file of the image cache from another host, and returns the path of what is the same here. That may
// be another: two hosts that made an empty file system each have different ones under one name, and an overlay of the
// one on the other is a broken disk.
func (t *task) pullBase(ctx context.Context, host, base string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(base), 0o755); err != nil {
		return "", fmt.Errorf("make the image cache: %w", err)
	}
	part := base + "." + uuid.NewString() + ".part" // another guest may be bringing the same
	defer os.Remove(part)
	if err := t.remote.Pull(ctx, remote.Copy{
		Host: host, Src: base, Dst: part, Compress: true,
		Progress: func(done int64) { t.entry.Progress(done, 0) },
	}); err != nil {
		return "", fmt.Errorf("bring base %s from host %s: %w", base, host, err)
	}
	theirs, err := headOf(part)
	if err != nil {
		return "", err
	}
	ours, err := headOf(base)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return base, disk.Publish(part, base)
	case err != nil:
		return "", err
	case bytes.Equal(ours, theirs):
		return base, nil
	}
	sum := sha256.Sum256(theirs)
	other := base + "-" + hex.EncodeToString(sum[:4])
	return other, disk.Publish(part, other)
}

// headSize is how much of a base tells it from others: the super block of every file system lies there, with an id of
// its own.
const headSize = 128 << 10

func headOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, headSize))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return head, nil
}
