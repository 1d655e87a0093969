package imagecache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"bolide/imagecache/disk"
)

// Image is what the image service says of an image.
type Image struct {
	ID              string
	DiskFormat      string // raw, qcow2, vmdk, vhd, vhdx, vdi, iso, ami, aki, ari
	ContainerFormat string // only bare, ami, aki and ari images can be used
	Size            int64  // bytes of the file; 0 when not known
	HashAlgo        string // os_hash_algo, for instance "sha512"
	HashValue       string // os_hash_value, hexadecimal
	MD5             string // checksum; used only where there is no HashValue
	Locations       []Location
	Properties      map[string]string

	// Limit is how many bytes the disk that the caller wants may have; an image with a larger virtual size is an
	// *ErrTooLarge as soon as its header was read. 0 is no limit. It concerns this caller alone.
	Limit int64

	// Signatures checks the image's own signature while it is fetched; an image that the cache holds already is not
	// checked again. Nil checks none.
	Signatures *Signatures
}

// Location is a place where the image service keeps an image.
type Location struct {
	URL      string
	Metadata map[string]string
}

// Source opens images. An offset above 0 continues a broken download; a source that cannot returns ErrNoRange, and
// the image is opened anew from 0. The reader must fail, not end, when the connection breaks.
type Source interface {
	Open(ctx context.Context, imageID string, offset int64) (io.ReadCloser, error)
}

// ErrNoRange is returned by a Source that can only start at the beginning.
var ErrNoRange = errors.New("image source cannot continue at an offset")

// ErrClosed is returned by calls on a closed cache.
var ErrClosed = errors.New("image cache is closed")

// Progress is told, about once a second and when the work ends, how many bytes of how many are done in the present
// phase. total is 0 while unknown. It is called from the goroutine that called Get.
type Progress func(done, total int64)

// ErrUnacceptable reports an image that must not or cannot be used, whoever asks.
type ErrUnacceptable struct {
	Image  string // its ID
	Reason string
	Err    error // the cause, or nil
}

func (e *ErrUnacceptable) Error() string {
	return fmt.Sprintf("image %s is unacceptable: %s", e.Image, e.Reason)
}

func (e *ErrUnacceptable) Unwrap() error { return e.Err }

// ErrChecksum reports bytes that are not the image's, also when fetched again.
type ErrChecksum struct {
	Image, Algo, Want, Got string
}

func (e *ErrChecksum) Error() string {
	return fmt.Sprintf("image %s: %s of its bytes is %s, the image service states %s", e.Image, e.Algo, e.Got, e.Want)
}

// ErrTooLarge reports an image larger than the disk meant for it, with the image's ID and both sizes in bytes.
type ErrTooLarge = disk.ErrTooLarge

// ErrNoSpace reports that the file system of the cache cannot hold what an image needs. Sizes are in bytes.
type ErrNoSpace struct {
	Image, Dir string
	Need, Free int64 // Need is 0 when the file system said so itself, in the middle of the work
}

func (e *ErrNoSpace) Error() string {
	if e.Need == 0 {
		return fmt.Sprintf("image %s: no space left in %s", e.Image, e.Dir)
	}
	return fmt.Sprintf("image %s needs %d bytes in %s, %d are free", e.Image, e.Need, e.Dir, e.Free)
}

// ErrFetch reports an image that could not be read to its end.
type ErrFetch struct {
	Image string
	Err   error
}

func (e *ErrFetch) Error() string { return fmt.Sprintf("fetch image %s: %v", e.Image, e.Err) }

func (e *ErrFetch) Unwrap() error { return e.Err }
