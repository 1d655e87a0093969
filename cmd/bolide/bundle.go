package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"bolide/agent/config"
	"bolide/agent/status"
)

// logTail is how much of the end of the log goes into a bundle, in bytes.
const logTail = 1 << 20

func (a *app) bundleCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Write what a bug report needs into one file, without secrets",
		Long: `Write what a bug report needs into one file: the status page, instances,
operations, metrics, goroutines, a profile of the memory, the configuration with
its secrets masked, the end of the log file and what system this is. What could
not be had is named in it. Look through it before you send it to anybody: it
names hosts, projects and instances.`,
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			now := time.Now().UTC()
			if out == "" {
				out = "bolide-" + now.Format("20060102-150405") + ".tar.gz"
			}
			var b bytes.Buffer
			if err := a.writeBundle(cmd.Context(), &b, now); err != nil {
				return err
			}
			if err := writeFile(out, &b); err != nil {
				return err
			}
			_, err := fmt.Fprintln(a.out, out, "is written")
			return err
		}),
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (default bolide-TIME.tar.gz)")
	return cmd
}

// bundled is what the daemon is asked for a bundle: file by path.
var bundled = []struct{ file, path string }{
	{"status.json", "/v1/status"}, {"operations.json", "/v1/operations"}, {"config.json", "/v1/config"},
	{"log-level.json", "/v1/log-level"}, {"metrics.txt", "/metrics"}, {"goroutines.txt", "/v1/debug/goroutines"},
	{"heap.pprof", "/v1/debug/profile/heap"},
}

// bundle is a tarball in the making.
type bundle struct {
	tar     *tar.Writer
	now     time.Time
	missing bytes.Buffer // what could not be had, and why
}

// writeBundle fails only when no daemon answers, or the bundle cannot be written:
// an ailing daemon's bundle has what there is.
func (a *app) writeBundle(ctx context.Context, to io.Writer, now time.Time) error {
	var list status.InstanceList
	if err := a.change(ctx, func(ctx context.Context, c *status.Client) error { return c.Get(ctx, "/v1/instances", &list) }); err != nil {
		return err
	}
	zip := gzip.NewWriter(to)
	b := &bundle{tar: tar.NewWriter(zip), now: now}
	fromDaemon := func(file, path string) error {
		var body bytes.Buffer
		return b.add(file, body.Bytes, a.copyAnswer(ctx, &body, path))
	}
	var errs []error
	for _, p := range bundled {
		errs = append(errs, fromDaemon(p.file, p.path))
	}
	for _, i := range list.Instances {
		errs = append(errs, fromDaemon("instances/"+i.UUID+".json", "/v1/instances/"+i.UUID))
	}
	system, err := aboutSystem()
	errs = append(errs, b.add("system.txt", func() []byte { return system }, err))
	log, err := a.endOfLog(ctx)
	errs = append(errs, b.add("log.txt", func() []byte { return log }, err))
	if b.missing.Len() > 0 {
		errs = append(errs, b.add("missing.txt", b.missing.Bytes, nil))
	}
	return errors.Join(append(errs, b.tar.Close(), zip.Close())...)
}

// add puts a file into the bundle, or notes why it is not there.
func (b *bundle) add(name string, content func() []byte, missing error) error {
	if missing != nil {
		fmt.Fprintf(&b.missing, "%s: %v\n", name, missing)
		return nil
	}
	body := content()
	if err := b.tar.WriteHeader(&tar.Header{Name: "bolide/" + name, Mode: 0o600, Size: int64(len(body)), ModTime: b.now}); err != nil {
		return err
	}
	_, err := b.tar.Write(body)
	return err
}

// aboutSystem says what the daemon runs on.
func aboutSystem() ([]byte, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, err
	}
	build := thisBuild()
	var b bytes.Buffer
	fmt.Fprintf(&b, "bolide %s, revision %s, %s, %s\nkernel %s %s\n\n", build.Version, build.Revision, build.Go, build.Platform,
		unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]))
	release, err := os.ReadFile("/etc/os-release")
	b.Write(release)
	return b.Bytes(), err
}

// endOfLog reads the end of the log file that the daemon's configuration names.
func (a *app) endOfLog(ctx context.Context) ([]byte, error) {
	var list status.ConfigList
	if err := a.change(ctx, func(ctx context.Context, c *status.Client) error { return c.Get(ctx, "/v1/config", &list) }); err != nil {
		return nil, err
	}
	var l config.Logging
	for _, s := range list.Settings {
		switch {
		case s.Section == "DEFAULT" && s.Name == "log_file":
			l.LogFile = s.Value
		case s.Section == "DEFAULT" && s.Name == "log_dir":
			l.LogDir = s.Value
		}
	}
	path := logFile(&l)
	if path == "" {
		return nil, errors.New("the daemon logs to standard error; see 'journalctl -u bolide'")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, st.Size()-logTail), logTail))
}
