package status

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is who is at the other end of a connection, as the kernel says.
type peer struct {
	pid    int32
	uid    uint32
	groups []uint32 // the first is the primary one
}

type peerKey struct{}

// peerOf finds who sent a request; the zero peer is nobody.
func peerOf(ctx context.Context) (peer, bool) {
	p, ok := ctx.Value(peerKey{}).(peer)
	return p, ok
}

// readPeer asks the kernel who connected. Who it names cannot be feigned, and
// holds for the moment of connecting.
func readPeer(c *net.UnixConn) (peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var p peer
	var got error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, got = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); got != nil {
			return
		}
		p.pid, p.uid, p.groups = cred.Pid, cred.Uid, []uint32{cred.Gid}
		var more []uint32
		if more, got = peerGroups(fd); got == nil {
			p.groups = append(p.groups, more...)
		}
	})
	if err == nil {
		err = got
	}
	if err != nil {
		return peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	return p, nil
}

// peerGroups reads the peer's supplementary groups (SO_PEERGROUPS, Linux 4.13),
// for which x/sys has no wrapper. The kernel allows a process 65536 of them.
func peerGroups(fd uintptr) ([]uint32, error) {
	gids := make([]uint32, 64)
	for {
		size := uint32(len(gids) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&gids[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && len(gids) <= 65536:
			gids = make([]uint32, max(int(size/4), 2*len(gids)))
		case errno != 0:
			return nil, errno
		default:
			return gids[:size/4], nil
		}
	}
}

// rules say who may do what on the socket.
type rules struct {
	self uint32 // the daemon's own user
	gid  int    // the group that may look; -1 = none
}

// newRules resolves the group's name. A group that does not exist is no reason
// not to start: then only root looks, which the error says.
func newRules(group string) (rules, error) {
	r := rules{self: uint32(os.Getuid()), gid: -1}
	if group == "" {
		return r, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return r, fmt.Errorf("look up group %s: %w", group, err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return r, fmt.Errorf("group %s: id %s: %w", group, g.Gid, err)
	}
	r.gid = gid
	return r, nil
}

func (r rules) mayAct(p peer) bool { return p.uid == 0 || p.uid == r.self }

func (r rules) mayLook(p peer) bool {
	return r.mayAct(p) || r.gid >= 0 && slices.Contains(p.groups, uint32(r.gid))
}
