package disk

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sandbox is what the kernel and the daemon's rights allow to confine a command with.
//
// With Landlock the command may read the system's programs and libraries and the files the job names, and write only
// the ones the job names. Where the daemon has the capabilities (as root it does) the command further becomes an
// unprivileged user whose one capability, CAP_DAC_OVERRIDE, lets it open those files whoever owns them and nothing
// more, in network and IPC namespaces of its own; otherwise Landlock forbids TCP where the kernel is new enough.
// no_new_privs is set in every case, and disk I/O is idle class.
type sandbox struct {
	landlock   bool
	abi        int  // of Landlock
	otherUser  bool // the daemon may become another user
	namespaces bool // the daemon may make namespaces
	user, grp  uint32
}

// Landlock rights by the ABI that brought them (include/uapi/linux/landlock.h).
const (
	landlockRead = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockFile = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE
	landlockAll = landlockRead | landlockFile | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
)

// systemPaths is what a program needs of the system to start.
var systemPaths = []string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/mke2fs.conf"}

func findSandbox(o Options) sandbox {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	s := sandbox{user: o.User, grp: o.Group}
	if errno == 0 {
		s.landlock, s.abi = true, int(abi)
	}
	have := capabilities()
	s.otherUser = have(unix.CAP_SETUID) && have(unix.CAP_SETGID) && have(unix.CAP_DAC_OVERRIDE)
	s.namespaces = have(unix.CAP_SYS_ADMIN)
	return s
}

// capabilities returns what tells whether this process has a capability in effect.
func capabilities() func(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return func(int) bool { return false }
	}
	return func(c int) bool { return data[c/32].Effective&(1<<(c%32)) != 0 }
}

// enter confines the calling thread, and with it what cmd starts from this thread. The thread must not be used for
// anything else afterwards.
func (s sandbox) enter(cmd *exec.Cmd, j job) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	idle()
	if !s.landlock {
		return nil
	}
	if s.otherUser {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.user, Gid: s.grp}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_DAC_OVERRIDE}
	}
	if s.namespaces {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWIPC
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return s.restrict(j)
}

// restrict puts the Landlock domain of a job on the calling thread.
func (s sandbox) restrict(j job) error {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: s.supported(landlockAll)}
	if s.abi >= 4 {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)),
		unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return fmt.Errorf("create landlock ruleset: %w", errno)
	}
	ruleset := int(fd)
	defer unix.Close(ruleset)
	for _, p := range systemPaths {
		if err := s.allow(ruleset, p, landlockRead); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	// qemu-img opens /dev/null for writing.
	for _, p := range append([]string{"/dev/null"}, j.writes...) {
		if err := s.allow(ruleset, p, landlockFile); err != nil {
			return err
		}
	}
	for _, p := range append([]string{"/dev/urandom"}, j.reads...) {
		if err := s.allow(ruleset, p, unix.LANDLOCK_ACCESS_FS_READ_FILE); err != nil {
			return err
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("restrict thread: %w", errno)
	}
	return nil
}

// allow adds a path beneath which the rights hold. Rights that only make sense for directories are left out for files.
func (s sandbox) allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= landlockFile | unix.LANDLOCK_ACCESS_FS_EXECUTE
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: s.supported(rights), Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("allow %s: %w", path, errno)
	}
	return nil
}

// supported leaves out the rights that the kernel's Landlock does not know yet.
func (s sandbox) supported(rights uint64) uint64 {
	if s.abi < 2 {
		rights &^= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if s.abi < 3 {
		rights &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	return rights
}
