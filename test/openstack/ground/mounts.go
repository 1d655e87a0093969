package ground

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"bolide/test/enclave"
)

// etc is the configuration of every service, laid over Debian's own.
//
//go:embed etc
var etc embed.FS

// inMemory is lost with the namespaces: sockets, process numbers, and databases
// that need not survive, nor wait for a disk.
var inMemory = []string{"/run", "/var/lib/mysql", "/var/lib/rabbitmq"}

// tempDir takes the place of /tmp, which the cloud shares with the host.
const tempDir = "/run/tmp"

// onDisk lies in the working directory and is empty at first.
var onDisk = []string{
	"/var/log",
	"/var/lib/nova", "/var/lib/glance", "/var/lib/neutron",
	"/var/lib/libvirt", "/var/cache/libvirt",
}

// configured lies in the working directory and starts as a copy of the host's.
var configured = []string{
	"/etc/keystone", "/etc/glance", "/etc/placement", "/etc/neutron", "/etc/nova",
	"/etc/libvirt", "/etc/rabbitmq",
}

type madeDir struct{ path, owner string }

// made are directories in those that Debian's packages make when they start.
var made = []madeDir{
	{"/run/lock", "root"},
	{tempDir, "root"},
	{"/run/mysqld", "mysql"},
	{"/run/netns", "root"},
	{"/run/libvirt", "root"},
	{"/var/lib/mysql", "mysql"},
	{"/var/lib/rabbitmq", "rabbitmq"},
	{"/var/log/rabbitmq", "rabbitmq"},
	{"/var/log/libvirt/qemu", "root"},
	{"/var/lib/libvirt/images", "root"},
	{"/var/lib/nova/instances", "root"},
	{"/var/lib/nova/lock", "root"},
	{"/var/lib/glance/images", "root"},
	{"/var/lib/neutron/lock", "root"},
}

// Mount makes the file system that the cloud sees: what enclave.Init calls.
func Mount(d enclave.Dir) error {
	if err := unix.Sethostname([]byte(HostName)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	steps := []func() error{
		// Of this network namespace. It hides the control groups as well, so
		// that libvirt does not put guests into the host's.
		func() error { return enclave.MountFS("sysfs", "/sys", "") },
		func() error {
			return each(inMemory, func(p string) error { return enclave.MountFS("tmpfs", p, "mode=755") })
		},
		func() error { return each(onDisk, func(p string) error { return bind(d, p, emptyDir) }) },
		func() error { return each(configured, func(p string) error { return bind(d, p, copyDir) }) },
		func() error { return each(made, madeDir.make) },
		func() error { return os.Chmod(tempDir, 0o777|os.ModeSticky) },
		configure,
		ownKVM,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func each[T any](items []T, f func(T) error) error {
	for _, i := range items {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// bind covers target with a directory of the same name in the working
// directory, which fill makes.
func bind(d enclave.Dir, target string, fill func(source, target string) error) error {
	source := filepath.Join(string(d), place(target))
	if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
		return err
	}
	if err := fill(source, target); err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source, target, err)
	}
	return nil
}

// place is where a path lies in the working directory.
func place(target string) string {
	if target == LogDir {
		return "log"
	}
	return target
}

func emptyDir(source, _ string) error { return os.MkdirAll(source, 0o755) }

func copyDir(source, target string) error {
	if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(source, 0o755)
	}
	out, err := exec.Command("cp", "-a", target, source).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy %s: %s: %w", target, out, err)
	}
	return nil
}

func (m madeDir) make() error {
	if err := os.MkdirAll(m.path, 0o755); err != nil {
		return err
	}
	u, err := user.Lookup(m.owner)
	if err != nil {
		return fmt.Errorf("make %s: %w (is its package installed?)", m.path, err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return os.Chown(m.path, uid, gid)
}

// configure writes the files of etc into /etc; all but hosts lie in directories
// that configured covers.
func configure() error {
	return fs.WalkDir(etc, "etc", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := etc.ReadFile(name)
		if err != nil {
			return err
		}
		if path.Dir(name) != "etc" {
			return os.WriteFile("/"+name, b, 0o644)
		}
		own := filepath.Join("/run", path.Base(name))
		if err := os.WriteFile(own, b, 0o644); err != nil {
			return err
		}
		if err := unix.Mount(own, "/"+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", name, err)
		}
		return nil
	})
}

// ownKVM covers /dev/kvm with a node of the same device that belongs to the
// group kvm. Where it does not, as in a container without udev, libvirt asks
// QEMU anew for its capabilities at every question, which takes seconds.
func ownKVM() error {
	const device, own = "/dev/kvm", "/run/kvm"
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return nil // no KVM here: nothing to distrust
	}
	group, err := user.LookupGroup("kvm")
	if err != nil {
		return err
	}
	gid, _ := strconv.Atoi(group.Gid)
	if err := unix.Mknod(own, unix.S_IFCHR|0o660, int(st.Rdev)); err != nil {
		return fmt.Errorf("make %s: %w", own, err)
	}
	if err := errors.Join(os.Chown(own, 0, gid), os.Chmod(own, 0o660)); err != nil {
		return err
	}
	if err := unix.Mount(own, device, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", device, err)
	}
	return nil
}
