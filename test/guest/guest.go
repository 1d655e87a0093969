// Package guest builds the disk image of a guest for trying out a compute node:
// a kernel and busybox that say on the serial console what they find, and react
// to the power button (see the file init) and to what libvirt asks of a guest's
// agent (see the file agent). It boots in seconds under emulation.
package guest

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// files are what the image is built from.
//
//go:embed build.sh init lease agent
var files embed.FS

// Options of Build; all are required.
type Options struct {
	// Kernel is the directory in which the package of the guest's kernel is
	// unpacked, as .ci/deps does.
	Kernel string
	// Out is the qcow2 file to make.
	Out string
}

// Build makes the image. It needs the tools that .ci/deps installs for it.
func Build(ctx context.Context, o Options) error {
	source, err := os.MkdirTemp("", "guest")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(source) }()
	for _, name := range []string{"build.sh", "init", "lease", "agent"} {
		b, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(source, name), b, 0o755); err != nil {
			return err
		}
	}
	// By the shell's name: the script itself may still be open for writing in a
	// child that another goroutine is just starting, and then it cannot be run.
	cmd := exec.CommandContext(ctx, "/bin/sh", filepath.Join(source, "build.sh"), source, o.Kernel, o.Out)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w: %s", cmd.Args, err, bytes.TrimSpace(out))
	}
	return nil
}
