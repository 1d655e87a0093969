package agent

import (
	"crypto/rand"
	"fmt"
	"path/filepath"

	"bolide/agent/guest"
	"bolide/hypervisor/configdrive"
	"bolide/imagecache/disk"
)

// writeDrive writes the config drive under the name, in place of what has it.
func (s *spawn) writeDrive(r guest.Request, name string) error {
	files, err := guest.DriveFiles(guest.DriveRequest{
		Request: r, Devices: s.devices, SecurityGroups: s.groups,
		AdminPassword: s.password, Files: s.files, Random: rand.Reader,
	})
	if err != nil {
		return fmt.Errorf("make config drive: %w", err)
	}
	path := filepath.Join(s.instanceDir(s.inst.UUID()), name)
	publisher := fmt.Sprintf("%s %s", r.Settings.Product.Name, r.Settings.Product.Version)
	drive := configdrive.Drive{Publisher: publisher, Created: r.Created, Files: files}
	if r.Settings.ConfigDriveFormat == "vfat" {
		drive.Format = configdrive.VFAT
	}
	if err := drive.WriteFile(path); err != nil {
		return fmt.Errorf("write config drive: %w", err)
	}
	return disk.RecordFormat(path, "raw")
}
