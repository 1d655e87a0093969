package ground

import (
	"context"
	"embed"
	"io/fs"
	"os"
	"path/filepath"
)

// guest is what the guest's disk image is built from.
//
//go:embed guest
var guest embed.FS

const (
	guestSource = "/run/guest"
	guestDisk   = "/run/guest.qcow2"
)

// buildGuest makes the disk image of a guest that says on its console what it
// finds (see guest/init), with the kernel whose package is unpacked in that
// directory.
func buildGuest(ctx context.Context, kernel string) error {
	if err := os.Mkdir(guestSource, 0o755); err != nil {
		return err
	}
	files, err := fs.ReadDir(guest, "guest")
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := guest.ReadFile("guest/" + f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(guestSource, f.Name()), b, 0o755); err != nil {
			return err
		}
	}
	return run(ctx, "guest-image", filepath.Join(guestSource, "build.sh"), guestSource, kernel, guestDisk)
}
