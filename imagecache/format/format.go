// Package format says what a disk image really is, from its bytes alone.
//
// The bytes come from a stranger. Nothing here runs a tool, follows a reference or trusts a size found in the file:
// every offset is checked against the file's length and every table against a limit before it is read, so the memory
// used is bounded (about 2 MiB) whatever the file says. Detect reads the first bytes and makes a few seeks; it does
// not read the data of the disk.
//
// The package starts no goroutines and keeps no state; its functions may be called from many goroutines at once.
package format

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Format is a disk format as the image service (Glance) names it.
type Format string

// The formats recognised. Those below the blank line are recognised only to be refused: no image service hands them
// out, but QEMU's own probing would open them.
const (
	Raw   Format = "raw"
	QCOW2 Format = "qcow2"
	VMDK  Format = "vmdk"
	VHD   Format = "vhd"
	VHDX  Format = "vhdx"
	VDI   Format = "vdi"
	ISO   Format = "iso"

	QCOW1     Format = "qcow"
	QED       Format = "qed"
	LUKS      Format = "luks"
	Parallels Format = "parallels"
	Bochs     Format = "bochs"
	Cloop     Format = "cloop"
)

// QEMU returns the name of the QEMU block driver that reads the format ("vpc" for VHD, "raw" for ISO).
func (f Format) QEMU() string {
	switch f {
	case VHD:
		return "vpc"
	case ISO:
		return "raw"
	}
	return string(f)
}

// ReferenceKind says how an image points at another file.
type ReferenceKind string

// The kinds of reference.
const (
	Backing  ReferenceKind = "backing file" // qcow2, qcow, qed: where unwritten clusters are read from
	DataFile ReferenceKind = "data file"    // qcow2: where the data is
	Extent   ReferenceKind = "extent"       // vmdk: a part of the disk
	Parent   ReferenceKind = "parent"       // vhd, vhdx, vdi, vmdk: differencing disks
)

// Reference is another file that an image would have its reader open.
type Reference struct {
	Kind   ReferenceKind
	Path   string // as written in the image, cut at 1,023 bytes; empty when the format gives only an identifier
	Format string // the format the image claims for the file; empty when it says none
}

// Info is what the bytes say.
type Info struct {
	Format      Format
	Variant     string      // "v2", "v3" (qcow2); "monolithicSparse" … (vmdk); "fixed", "dynamic" … (vhd, vhdx, vdi)
	VirtualSize int64       // bytes a guest sees
	ClusterSize int64       // bytes per cluster, grain or block; 0 where there is none
	Compression string      // "zlib", "zstd" or "deflate" where the format declares one, whether or not it is used
	Partitions  string      // "mbr" or "gpt" when a raw or ISO image starts with a partition table
	Content     string      // for a raw image without partitions, what it seems to hold: "linux kernel", "gzip", "ext" …
	Encrypted   bool        // the data cannot be read without a secret
	Snapshots   int         // internal snapshots
	References  []Reference // every other file a reader would open
	Faults      []string    // what else makes the image unfit, each a short clause
}

// ErrAmbiguous reports bytes that are two formats at once. Which one a reader sees would depend on the reader.
type ErrAmbiguous struct {
	Formats []Format
}

func (e *ErrAmbiguous) Error() string {
	names := make([]string, len(e.Formats))
	for i, f := range e.Formats {
		names[i] = string(f)
	}
	return "more than one format at once: " + strings.Join(names, ", ")
}

// ErrMalformed reports a header that announces a format but cannot be read as that format.
type ErrMalformed struct {
	Format Format
	Reason string
}

func (e *ErrMalformed) Error() string { return fmt.Sprintf("malformed %s: %s", e.Format, e.Reason) }

// recogniser knows one format. match looks only for the mark that makes some reader open the file as that format;
// parse then says all about it, or returns an *ErrMalformed.
type recogniser struct {
	format Format
	match  func(*image) bool
	parse  func(*image) (Info, error)
}

// recognisers in the order they are reported when several match.
func recognisers() []recogniser {
	return []recogniser{
		{QCOW2, matchQCOW2, parseQCOW2},
		{QCOW1, matchQCOW1, parseQCOW1},
		{QED, matchQED, parseQED},
		{VMDK, matchVMDK, parseVMDK},
		{VHD, matchVHD, parseVHD},
		{VHDX, matchVHDX, parseVHDX},
		{VDI, matchVDI, parseVDI},
		{ISO, matchISO, parseISO},
		{LUKS, matchLUKS, parseLUKS},
		{Parallels, matchParallels, refuseOnly(Parallels)},
		{Bochs, matchBochs, refuseOnly(Bochs)},
		{Cloop, matchCloop, refuseOnly(Cloop)},
	}
}

// Detect says what the size bytes readable from r are. What no recogniser claims is raw. The error is an
// *ErrAmbiguous, an *ErrMalformed, or one of r. An Info without error is not yet fit for use: see Safe.
func Detect(r io.ReaderAt, size int64) (Info, error) {
	img := &image{r: r, size: size}
	var matched []recogniser
	for _, rec := range recognisers() {
		if rec.match(img) {
			matched = append(matched, rec)
		}
	}
	if img.err != nil {
		return Info{}, fmt.Errorf("read image: %w", img.err)
	}
	switch len(matched) {
	case 0:
		return parseRaw(img)
	case 1:
		info, err := matched[0].parse(img)
		if err == nil && img.err != nil {
			err = fmt.Errorf("read image: %w", img.err)
		}
		return info, err
	}
	amb := &ErrAmbiguous{}
	for _, rec := range matched {
		amb.Formats = append(amb.Formats, rec.format)
	}
	return Info{}, amb
}

// refuseOnly parses a format that is only ever refused.
func refuseOnly(f Format) func(*image) (Info, error) {
	return func(img *image) (Info, error) {
		return Info{Format: f, VirtualSize: img.size, Faults: []string{"format not accepted"}}, nil
	}
}

// image is a file being looked at. The first read error other than reading past the end is kept in err, so that
// matchers can stay plain predicates.
type image struct {
	r    io.ReaderAt
	size int64
	err  error
}

// at returns n bytes at off, or nil when they are not all inside the file. n is a constant or already limited.
func (i *image) at(off, n int64) []byte {
	if off < 0 || n < 0 || off > i.size || n > i.size-off {
		return nil
	}
	buf := make([]byte, n)
	if _, err := i.r.ReadAt(buf, off); err != nil && !errors.Is(err, io.EOF) {
		if i.err == nil {
			i.err = err
		}
		return nil
	}
	return buf
}

// has reports whether the bytes at off are exactly mark.
func (i *image) has(off int64, mark string) bool {
	return string(i.at(off, int64(len(mark)))) == mark
}

// inside reports whether n bytes at off lie in the file.
func (i *image) inside(off, n uint64) bool {
	return off <= uint64(i.size) && n <= uint64(i.size)-off
}

func malformed(f Format, reason string, args ...any) error {
	return &ErrMalformed{Format: f, Reason: fmt.Sprintf(reason, args...)}
}
