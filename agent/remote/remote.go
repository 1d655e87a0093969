// Package remote reaches the files of other compute hosts, for guests that move between hosts which share no storage. It
// uses ssh and scp, or rsync, exactly the commands that Nova's own node runs, since hosts may let their peers run nothing
// else.
//
// Every command has an end: a time limit for those that should take no time, and for copies a limit on how long they may
// stand still. A command whose context ends is killed with all that it started. A copy runs one goroutine beside it, to
// watch it; it ends with the copy. An FS is safe for concurrent use.
package remote

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// The ways to reach another host: [libvirt] remote_filesystem_transport.
const (
	SSH   = "ssh"
	Rsync = "rsync"
)

// Options of an FS. The zero value is useful.
type Options struct {
	Transport string        // SSH (default) or Rsync
	Limit     time.Duration // of a command that moves no data; default 30 s
	Stall     time.Duration // how long a copy may stand still; default 2 min
	Bandwidth int           // bytes per second of one copy; 0: not bounded
	// SSHConfig is a configuration file for ssh; "" is the user's own.
	SSHConfig string
}

// FS reaches the files of other hosts.
type FS struct {
	opts Options
	by   transport
}

// transport is one way to reach a host. Its methods return the commands to run, one after the other.
type transport interface {
	makeDir(host, dir string) ([][]string, func(), error)
	removeDir(host, dir string) ([][]string, func(), error)
	touch(host, path string) ([][]string, func(), error)
	remove(host, path string) ([][]string, func(), error)
	copyFile(t transfer) []string
}

// transfer is one copy as a transport sees it: either end may be of the form host:path.
type transfer struct {
	src, dst  string
	compress  bool
	bandwidth int
}

// New returns an FS.
func New(o Options) (*FS, error) {
	if o.Limit == 0 {
		o.Limit = 30 * time.Second
	}
	if o.Stall == 0 {
		o.Stall = 2 * time.Minute
	}
	f := &FS{opts: o}
	switch o.Transport {
	case SSH, "":
		f.by = overSSH{config: o.SSHConfig}
	case Rsync:
		f.by = overRsync{config: o.SSHConfig}
	default:
		return nil, fmt.Errorf("transport %q is neither %s nor %s", o.Transport, SSH, Rsync)
	}
	return f, nil
}

// MakeDir makes a directory on the host and what it lies in; it may be there already.
func (f *FS) MakeDir(ctx context.Context, host, dir string) error {
	commands, done, err := f.by.makeDir(host, dir)
	return f.do(ctx, commands, done, err)
}

// RemoveDir removes a directory with all that it holds; it may be gone already.
func (f *FS) RemoveDir(ctx context.Context, host, dir string) error {
	commands, done, err := f.by.removeDir(host, dir)
	return f.do(ctx, commands, done, err)
}

// Touch makes an empty file.
func (f *FS) Touch(ctx context.Context, host, path string) error {
	commands, done, err := f.by.touch(host, path)
	return f.do(ctx, commands, done, err)
}

// Remove removes a file.
func (f *FS) Remove(ctx context.Context, host, path string) error {
	commands, done, err := f.by.remove(host, path)
	return f.do(ctx, commands, done, err)
}

func (f *FS) do(ctx context.Context, commands [][]string, done func(), err error) error {
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, f.opts.Limit)
	defer cancel()
	for _, argv := range commands {
		if err := run(ctx, argv, nil); err != nil {
			return err
		}
	}
	return nil
}

// Copy describes a copy of a file to or from a host.
type Copy struct {
	Host     string
	Src, Dst string
	// Compress is worth it for what is not compressed already.
	Compress bool
	// Progress is told now and then how many bytes have been read. Optional; called from one goroutine.
	Progress func(done int64)
}

// Push copies the local Src to Dst on the host, replacing what is there.
func (f *FS) Push(ctx context.Context, c Copy) error {
	argv := f.by.copyFile(transfer{
		src: c.Src, dst: remotePath(c.Host, c.Dst), compress: c.Compress, bandwidth: f.opts.Bandwidth,
	})
	return f.copy(ctx, argv, c.Src, c.Progress)
}

// Pull copies Src of the host to the local Dst, replacing what is there.
func (f *FS) Pull(ctx context.Context, c Copy) error {
	argv := f.by.copyFile(transfer{
		src: remotePath(c.Host, c.Src), dst: c.Dst, compress: c.Compress, bandwidth: f.opts.Bandwidth,
	})
	return f.copy(ctx, argv, c.Dst, c.Progress)
}

// remotePath names a file of a host as scp and rsync have it.
func remotePath(host, path string) string { return hostName(host) + ":" + path }

// hostName puts addresses with colons into brackets, which keeps them apart from the path.
func hostName(host string) string {
	if ip := net.ParseIP(host); ip != nil && strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
