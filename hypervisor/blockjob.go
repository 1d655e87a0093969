package hypervisor

import (
	"context"

	"libvirt.org/go/libvirt"
)

// The disk of these calls is its target, as in "vda", or "vda[1]" for an image of
// its backing chain. Jobs run on after the call that starts them; EventBlockJob
// tells when a job is ready or over.

// BlockInfo is the size of a disk in bytes.
type BlockInfo struct {
	Capacity   uint64 // as the guest sees it
	Allocation uint64 // up to where it has been written
	Physical   uint64 // what it takes on the host
}

// BlockInfo asks for the size of a disk.
func (h *Host) BlockInfo(ctx context.Context, uuid, disk string) (BlockInfo, error) {
	c := call{op: "measure disk " + disk + " of", guest: uuid}
	return act(ctx, h, c, func(d *libvirt.Domain) (BlockInfo, error) {
		info, err := d.GetBlockInfo(disk, 0)
		if err != nil {
			return BlockInfo{}, err
		}
		return BlockInfo{Capacity: info.Capacity, Allocation: info.Allocation, Physical: info.Physical}, nil
	})
}

// BlockResize tells a running guest that its disk has a new size in bytes, and
// grows the image where that is a file.
func (h *Host) BlockResize(ctx context.Context, uuid, disk string, size uint64) error {
	return h.do(ctx, call{op: "resize disk " + disk + " of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.BlockResize(disk, size, libvirt.DOMAIN_BLOCK_RESIZE_BYTES)
	})
}

// BlockCopyOptions says how a disk is copied.
type BlockCopyOptions struct {
	Shallow   bool   // the top image alone, on the same backing file
	Reuse     bool   // the destination exists, with the right size and format
	Transient bool   // the job need not survive the guest: a persistent guest refuses others
	Bandwidth uint64 // limit in bytes a second; 0 = none
}

// BlockCopy starts copying a disk to the destination that the <disk> element xml
// describes. Once ready, BlockJobAbort ends the mirroring.
func (h *Host) BlockCopy(ctx context.Context, uuid, disk, xml string, o BlockCopyOptions) error {
	var flags libvirt.DomainBlockCopyFlags
	if o.Shallow {
		flags |= libvirt.DOMAIN_BLOCK_COPY_SHALLOW
	}
	if o.Reuse {
		flags |= libvirt.DOMAIN_BLOCK_COPY_REUSE_EXT
	}
	if o.Transient {
		flags |= libvirt.DOMAIN_BLOCK_COPY_TRANSIENT_JOB
	}
	params := &libvirt.DomainBlockCopyParameters{BandwidthSet: o.Bandwidth > 0, Bandwidth: o.Bandwidth}
	return h.do(ctx, call{op: "copy disk " + disk + " of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.BlockCopy(disk, xml, params, flags)
	})
}

// BlockRebaseOptions says what BlockRebase does with a disk and its base.
type BlockRebaseOptions struct {
	Copy      bool   // mirror the disk to the file base instead of pulling base into it
	CopyRaw   bool   // with Copy: the file is raw
	Shallow   bool   // with Copy: the top image alone
	Reuse     bool   // with Copy: the file exists, with the right size and format
	Relative  bool   // keep backing file names relative
	Bandwidth uint64 // limit in bytes a second; 0 = none
}

// BlockRebase starts pulling the images between base and the disk into the disk,
// or, with Copy, mirroring the disk to base.
func (h *Host) BlockRebase(ctx context.Context, uuid, disk, base string, o BlockRebaseOptions) error {
	flags := libvirt.DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES
	for _, f := range []struct {
		set  bool
		flag libvirt.DomainBlockRebaseFlags
	}{
		{o.Copy, libvirt.DOMAIN_BLOCK_REBASE_COPY},
		{o.CopyRaw, libvirt.DOMAIN_BLOCK_REBASE_COPY_RAW},
		{o.Shallow, libvirt.DOMAIN_BLOCK_REBASE_SHALLOW},
		{o.Reuse, libvirt.DOMAIN_BLOCK_REBASE_REUSE_EXT},
		{o.Relative, libvirt.DOMAIN_BLOCK_REBASE_RELATIVE},
	} {
		if f.set {
			flags |= f.flag
		}
	}
	return h.do(ctx, call{op: "rebase disk " + disk + " of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.BlockRebase(disk, base, o.Bandwidth, flags)
	})
}

// BlockCommitOptions says what becomes of committed images.
type BlockCommitOptions struct {
	Active    bool   // top is the disk itself; once ready, BlockJobAbort with Pivot ends it
	Relative  bool   // keep backing file names relative
	Delete    bool   // delete the committed images
	Bandwidth uint64 // limit in bytes a second; 0 = none
}

// BlockCommit starts writing the images above base, up to top, down into base.
func (h *Host) BlockCommit(ctx context.Context, uuid, disk, base, top string, o BlockCommitOptions) error {
	flags := libvirt.DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES
	if o.Active {
		flags |= libvirt.DOMAIN_BLOCK_COMMIT_ACTIVE
	}
	if o.Relative {
		flags |= libvirt.DOMAIN_BLOCK_COMMIT_RELATIVE
	}
	if o.Delete {
		flags |= libvirt.DOMAIN_BLOCK_COMMIT_DELETE
	}
	return h.do(ctx, call{op: "commit disk " + disk + " of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.BlockCommit(disk, base, top, o.Bandwidth, flags)
	})
}

// BlockJobInfo is how far a block job is. Current reaches End when a copy or an
// active commit is ready and when any other job is over.
type BlockJobInfo struct {
	Current, End uint64 // in units of its own
	Bandwidth    uint64 // limit in bytes a second; 0 = none
}

// Ready tells whether all there was to copy has been copied.
func (j BlockJobInfo) Ready() bool { return j.End > 0 && j.Current == j.End }

// BlockJob returns the job of a disk; false if there is none.
func (h *Host) BlockJob(ctx context.Context, uuid, disk string) (BlockJobInfo, bool, error) {
	c := call{op: "look at block job of disk " + disk + " of", guest: uuid}
	info, err := act(ctx, h, c, func(d *libvirt.Domain) (*libvirt.DomainBlockJobInfo, error) {
		return d.GetBlockJobInfo(disk, libvirt.DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)
	})
	if err != nil || info.Type == libvirt.DOMAIN_BLOCK_JOB_TYPE_UNKNOWN {
		return BlockJobInfo{}, false, err
	}
	return BlockJobInfo{Current: info.Cur, End: info.End, Bandwidth: info.Bandwidth}, true, nil
}

// BlockJobAbortOptions says how a block job ends.
type BlockJobAbortOptions struct {
	Pivot bool // the guest goes on with the copy
	Async bool // do not wait until it has ended
}

// BlockJobAbort ends a job.
func (h *Host) BlockJobAbort(ctx context.Context, uuid, disk string, o BlockJobAbortOptions) error {
	var flags libvirt.DomainBlockJobAbortFlags
	if o.Pivot {
		flags |= libvirt.DOMAIN_BLOCK_JOB_ABORT_PIVOT
	}
	if o.Async {
		flags |= libvirt.DOMAIN_BLOCK_JOB_ABORT_ASYNC
	}
	return h.do(ctx, call{op: "end block job of disk " + disk + " of", guest: uuid}, func(d *libvirt.Domain) error {
		return d.BlockJobAbort(disk, flags)
	})
}

// BlockJobSetSpeed limits a running job to bytes a second; 0 = no limit.
func (h *Host) BlockJobSetSpeed(ctx context.Context, uuid, disk string, bandwidth uint64) error {
	c := call{op: "set speed of block job of disk " + disk + " of", guest: uuid}
	return h.do(ctx, c, func(d *libvirt.Domain) error {
		return d.BlockJobSetSpeed(disk, bandwidth, libvirt.DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES)
	})
}

// SnapshotOptions says how a snapshot is taken.
type SnapshotOptions struct {
	DiskOnly   bool // without memory
	NoMetadata bool // libvirt does not keep a record of it
	Reuse      bool // the new image files exist
	Quiesce    bool // freeze the guest's file systems meanwhile, through its agent
}

// CreateSnapshot takes the snapshot that a <domainsnapshot> element describes.
func (h *Host) CreateSnapshot(ctx context.Context, uuid, xml string, o SnapshotOptions) error {
	var flags libvirt.DomainSnapshotCreateFlags
	for _, f := range []struct {
		set  bool
		flag libvirt.DomainSnapshotCreateFlags
	}{
		{o.DiskOnly, libvirt.DOMAIN_SNAPSHOT_CREATE_DISK_ONLY},
		{o.NoMetadata, libvirt.DOMAIN_SNAPSHOT_CREATE_NO_METADATA},
		{o.Reuse, libvirt.DOMAIN_SNAPSHOT_CREATE_REUSE_EXT},
		{o.Quiesce, libvirt.DOMAIN_SNAPSHOT_CREATE_QUIESCE},
	} {
		if f.set {
			flags |= f.flag
		}
	}
	return h.do(ctx, call{op: "snapshot", guest: uuid}, func(d *libvirt.Domain) error {
		s, err := d.CreateSnapshotXML(xml, flags)
		if err != nil {
			return err
		}
		return s.Free()
	})
}
