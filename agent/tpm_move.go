package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"bolide/agent/guest"
	"bolide/agent/remote"
	"bolide/hypervisor/domainxml"
)

// This file takes along what an emulated TPM holds when its guest moves or changes its size. libvirt keeps it in a
// directory of the guest's own, which travels as Nova's node has it travel: the source sets it aside with the disks, in
// <instance>_resize/swtpm/<instance>, and brings a copy to <instance>/swtpm at the destination, which gives it to libvirt.

// tpmFolder is where a guest's files have what its TPM holds while it is not libvirt's.
const tpmFolder = "swtpm"

// sendTPM sets aside what the guest's TPM holds and brings a copy to the destination, as copyFiles does with the disks.
func (s *sending) sendTPM(ctx context.Context) error {
	held := s.heldByTPM()
	if !there(held) {
		return nil
	}
	folder := filepath.Join(tpmFolder, s.inst.UUID())
	aside, copied := filepath.Join(s.files.dir+asideSuffix, folder), filepath.Join(s.files.dir, folder)
	if err := os.MkdirAll(filepath.Dir(aside), 0o755); err != nil {
		return fmt.Errorf("set aside what the TPM holds: %w", err)
	}
	if err := moveTree(held, aside); err != nil {
		return fmt.Errorf("set aside what the TPM holds: %w", err)
	}
	if err := chownTree(aside, os.Geteuid(), os.Getegid()); err != nil {
		return fmt.Errorf("set aside what the TPM holds: %w", err)
	}
	if s.files.shared {
		if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
			return fmt.Errorf("copy what the TPM holds: %w", err)
		}
		return copyTree(aside, copied)
	}
	return s.files.pushTree(ctx, aside, copied)
}

// pushTree brings a directory with a few small files over.
func (d *diskMove) pushTree(ctx context.Context, src, dst string) error {
	return filepath.WalkDir(src, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dst, path[len(src):])
		if e.IsDir() {
			return d.remote.MakeDir(ctx, d.dest, target)
		}
		return d.remote.Push(ctx, remote.Copy{Host: d.dest, Src: path, Dst: target, Progress: func(int64) {}})
	})
}

// keepTPM gives libvirt back what sendTPM set aside.
func (s *sending) keepTPM(context.Context) error {
	if s.files == nil {
		return nil
	}
	return s.restoreTPM(s.files.dir + asideSuffix)
}

// fitTPM gives libvirt what the guest's TPM held before, unless the guest comes up with another one or none. One that
// is its first gets a secret.
func (a *arrival) fitTPM(ctx context.Context) error {
	old, err := guest.TPM(a.inst.OldFlavor(), a.meta)
	if err != nil {
		return err
	}
	fresh, err := guest.TPM(a.inst.Flavor(), a.meta)
	if err != nil {
		return err
	}
	dir := a.instanceDir(a.inst.UUID())
	if old != fresh {
		if err := os.RemoveAll(filepath.Join(dir, tpmFolder)); err != nil {
			return fmt.Errorf("remove what another TPM held: %w", err)
		}
		return a.makeTPMSecret(ctx)
	}
	return a.restoreTPM(dir)
}

// takeBackTPM gives libvirt what the guest's TPM held before a move that is reverted.
func (m *coldMove) takeBackTPM(ctx context.Context) error {
	if err := m.restoreTPM(m.instanceDir(m.inst.UUID())); err != nil {
		return err
	}
	return m.dropUnusedSecret(ctx)
}

// dropUnusedSecret removes the secret of a guest that no longer has a TPM. A secret that cannot be removed, as by the
// node itself when the time to confirm is over, stays on the record and goes with the instance.
func (m *coldMove) dropUnusedSecret(ctx context.Context) error {
	tpm, err := guest.TPM(m.inst.Flavor(), m.meta)
	if err != nil || tpm != (domainxml.TPM{}) {
		return err
	}
	if err := m.deleteTPMSecret(ctx); err != nil {
		m.log.WithError(err).Warn("secret of the TPM that the guest had is left in Barbican until the instance is deleted")
	}
	return nil
}

// heldByTPM is where libvirt keeps what the guest's TPM holds.
func (t *task) heldByTPM() string { return filepath.Join(t.local.tpmDir, t.inst.UUID()) }

// restoreTPM gives libvirt what lies in the directory of what the guest's TPM holds; it may be repeated.
func (t *task) restoreTPM(dir string) error {
	kept := filepath.Join(dir, tpmFolder, t.inst.UUID())
	if !there(kept) {
		return nil
	}
	uid, gid, err := emulatorIDs(t.cfg.Libvirt.SWTPMUser, t.cfg.Libvirt.SWTPMGroup)
	if err != nil {
		return err
	}
	err = errors.Join(os.MkdirAll(t.local.tpmDir, 0o711), chownTree(kept, uid, gid))
	if err == nil {
		err = os.RemoveAll(t.heldByTPM())
	}
	if err == nil {
		err = moveTree(kept, t.heldByTPM())
	}
	if err != nil {
		return fmt.Errorf("give libvirt what the TPM holds: %w", err)
	}
	return os.RemoveAll(filepath.Join(dir, tpmFolder))
}

// emulatorIDs are the user and the group that the emulator runs as.
func emulatorIDs(userName, groupName string) (uid, gid int, err error) {
	u, err := user.Lookup(userName)
	if err != nil {
		return 0, 0, fmt.Errorf("[libvirt] swtpm_user: %w", err)
	}
	g, err := user.LookupGroup(groupName)
	if err != nil {
		return 0, 0, fmt.Errorf("[libvirt] swtpm_group: %w", err)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(g.Gid)
	return uid, gid, err
}

// moveTree moves a directory, also to another file system. Whenever it is cut off, one of the two is whole, and dst is
// not there unless it is.
func moveTree(src, dst string) error {
	err := os.Rename(src, dst)
	if !errors.Is(err, unix.EXDEV) {
		return err
	}
	part := dst + ".part"
	if err := os.RemoveAll(part); err != nil { // of a move that was cut off
		return err
	}
	if err := copyTree(src, part); err != nil {
		return err
	}
	if err := os.Rename(part, dst); err != nil {
		return err
	}
	return os.RemoveAll(src)
}

// copyTree copies a directory with small files, their modes and owners.
func copyTree(src, dst string) error {
	return filepath.WalkDir(src, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(dst, path[len(src):])
		if e.IsDir() {
			err = os.Mkdir(target, info.Mode().Perm())
		} else {
			var content []byte
			if content, err = os.ReadFile(path); err == nil {
				err = os.WriteFile(target, content, info.Mode().Perm())
			}
		}
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		return os.Lchown(target, int(st.Uid), int(st.Gid))
	})
}

// chownTree makes a directory and all in it somebody's.
func chownTree(dir string, uid, gid int) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}
