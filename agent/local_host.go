package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// localHost is what guests' machines depend on of the system this process runs in, read once.
type localHost struct {
	machineID  string // of systemd; "" if there is none
	cpuControl bool   // the kernel can give guests shares of CPU time
	diskCache  string // how guests' disks are cached unless nova.conf says otherwise
	tpmDir     string // where libvirt keeps what emulated TPMs hold
}

func readLocalHost(instancesPath string) localHost {
	h := localHost{cpuControl: hasCPUController(), diskCache: "none", tpmDir: "/var/lib/libvirt/swtpm"}
	if id, err := os.ReadFile("/etc/machine-id"); err == nil {
		h.machineID = strings.TrimSpace(string(id))
	}
	if !directIO(instancesPath) {
		h.diskCache = "writeback" // without direct I/O QEMU cannot open a disk uncached
	}
	return h
}

// hasCPUController looks for the CPU controller in control groups of both versions.
func hasCPUController() bool {
	if v2, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil && slices.Contains(strings.Fields(string(v2)), "cpu") {
		return true
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 3 && slices.Contains(strings.Split(fields[3], ","), "cpu") {
			return true
		}
	}
	return false
}

// directIO tries whether files of the directory can be written around the page cache.
func directIO(dir string) bool {
	if os.MkdirAll(dir, 0o755) != nil {
		return false
	}
	name := filepath.Join(dir, ".directio.test")
	fd, err := unix.Open(name, unix.O_CREAT|unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return false
	}
	defer os.Remove(name)
	defer unix.Close(fd)
	const align = 4096
	page, err := unix.Mmap(-1, 0, align, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(page) }()
	n, err := unix.Write(fd, page)
	return err == nil && n == align
}
