package hypervisor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
)

// Memory is the host's memory in MiB, as Nova reports it.
type Memory struct {
	Total int // as libvirt sees it
	Used  int // all but free memory, buffers and page cache; below 0 where libvirt sees less than the kernel has
}

// NodeMemory asks for the memory in use.
func (h *Host) NodeMemory(ctx context.Context) (Memory, error) {
	node, err := ask(ctx, h, call{op: "ask memory"}, (*libvirt.Connect).GetNodeInfo)
	if err != nil {
		return Memory{}, err
	}
	b, err := os.ReadFile(filepath.Join(h.opts.ProcDir, "meminfo"))
	if err != nil {
		return Memory{}, err
	}
	available, err := availableKiB(string(b))
	if err != nil {
		return Memory{}, err
	}
	total := int(node.Memory >> 10)
	return Memory{Total: total, Used: total - int(available>>10)}, nil
}

// availableKiB sums up what Nova counts as available in /proc/meminfo, which is
// not the kernel's own MemAvailable.
func availableKiB(meminfo string) (uint64, error) {
	wanted := setOf("MemFree", "Buffers", "Cached")
	var sum uint64
	for line := range strings.Lines(meminfo) {
		name, value, _ := strings.Cut(line, ":")
		if !wanted[name] {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read meminfo: %s: %w", name, err)
		}
		sum += kib
		delete(wanted, name)
	}
	if len(wanted) > 0 {
		return 0, fmt.Errorf("read meminfo: %d of the lines MemFree, Buffers, Cached are missing", len(wanted))
	}
	return sum, nil
}

// NodeCPUTime is how long the host's CPUs did what since it started, together.
type NodeCPUTime struct {
	Kernel, User, Idle, IOWait time.Duration
	MHz                        int
}

// NodeCPU asks for CPU time.
func (h *Host) NodeCPU(ctx context.Context) (NodeCPUTime, error) {
	return ask(ctx, h, call{op: "ask CPU time"}, func(conn *libvirt.Connect) (NodeCPUTime, error) {
		s, err := conn.GetCPUStats(int(libvirt.NODE_CPU_STATS_ALL_CPUS), 0)
		if err != nil {
			return NodeCPUTime{}, err
		}
		node, err := conn.GetNodeInfo()
		if err != nil {
			return NodeCPUTime{}, err
		}
		return NodeCPUTime{
			Kernel: time.Duration(s.Kernel), User: time.Duration(s.User),
			Idle: time.Duration(s.Idle), IOWait: time.Duration(s.Iowait), MHz: int(node.MHz),
		}, nil
	})
}

// OnlineCPUs returns the numbers of the host's CPUs that are online, in order.
func (h *Host) OnlineCPUs(ctx context.Context) ([]int, error) {
	return ask(ctx, h, call{op: "ask online CPUs"}, func(conn *libvirt.Connect) ([]int, error) {
		cpus, _, err := conn.GetCPUMap(0)
		if err != nil {
			return nil, err
		}
		var online []int
		for n := range len(cpus) {
			if cpus[n] {
				online = append(online, n)
			}
		}
		return online, nil
	})
}

// Uptime returns the line that uptime(1) prints at the given time, which is what
// Nova's API passes on.
func (h *Host) Uptime(now time.Time) (string, error) {
	up, err := os.ReadFile(filepath.Join(h.opts.ProcDir, "uptime"))
	if err != nil {
		return "", err
	}
	load, err := os.ReadFile(filepath.Join(h.opts.ProcDir, "loadavg"))
	if err != nil {
		return "", err
	}
	users, err := os.ReadFile(h.opts.UsersFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return uptimeLine(now, string(up), string(load), countUsers(users))
}

func uptimeLine(now time.Time, up, load string, users int) (string, error) {
	seconds, _, _ := strings.Cut(up, ".")
	n, err := strconv.ParseUint(seconds, 10, 48)
	if err != nil {
		return "", fmt.Errorf("read uptime: %w", err)
	}
	averages := strings.Fields(load)
	if len(averages) < 3 {
		return "", fmt.Errorf("read loadavg: %q", load)
	}
	noun := "user"
	if users > 1 {
		noun = "users"
	}
	return fmt.Sprintf(" %s up %s, %2d %s,  load average: %s\n", now.Format(time.TimeOnly),
		uptimeSpan(n/60), users, noun, strings.Join(averages[:3], ", ")), nil
}

// uptimeSpan writes a number of minutes as uptime(1) does.
func uptimeSpan(minutes uint64) string {
	var days string
	switch d := minutes / (24 * 60); d {
	case 0:
	case 1:
		days = "1 day, "
	default:
		days = fmt.Sprintf("%d days, ", d)
	}
	if hours := minutes / 60 % 24; hours > 0 {
		return fmt.Sprintf("%s%2d:%02d", days, hours, minutes%60)
	}
	return fmt.Sprintf("%s%d min", days, minutes%60)
}

// Layout of struct utmp (utmp(5)) on 64-bit Linux.
const (
	utmpSize    = 384
	utmpProcess = 7 // ut_type of somebody logged in
)

// countUsers counts who is logged in according to utmp.
func countUsers(utmp []byte) int {
	users := 0
	for len(utmp) >= utmpSize {
		if binary.NativeEndian.Uint16(utmp) == utmpProcess {
			users++
		}
		utmp = utmp[utmpSize:]
	}
	return users
}
