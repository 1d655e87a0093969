package hypervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// Firmware is a UEFI build as one of QEMU's descriptors shows it
// (docs/interop/firmware.json in QEMU).
type Firmware struct {
	Executable   string
	NVRAM        string // template of the guest's variables
	Targets      []FirmwareTarget
	SecureBoot   bool
	RequiresSMM  bool
	EnrolledKeys bool
}

// FirmwareTarget is for which guests a firmware is.
type FirmwareTarget struct {
	Arch     string   `json:"architecture"`
	Machines []string `json:"machines"` // patterns of canonical machine types
}

// maxDescriptor bounds a descriptor's size in bytes; real ones have under 2 KiB.
const maxDescriptor = 1 << 20

// readFirmware reads the descriptors of each directory in the order of their names.
func readFirmware(dirs []string) ([]Firmware, error) {
	var all []Firmware
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			return nil, err
		}
		slices.Sort(files)
		for _, file := range files {
			info, err := os.Stat(file)
			if errors.Is(err, fs.ErrNotExist) {
				continue // masked by a dangling link
			}
			if err != nil {
				return nil, err
			}
			if info.Size() == 0 || info.Size() > maxDescriptor {
				continue // empty: made to hide a descriptor of QEMU.s package
			}
			b, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			fw, err := parseFirmware(b)
			if err != nil {
				return nil, fmt.Errorf("read firmware descriptor %s: %w", file, err)
			}
			all = append(all, fw)
		}
	}
	return all, nil
}

func parseFirmware(b []byte) (Firmware, error) {
	var d struct {
		Mapping struct {
			Executable struct{ Filename string } `json:"executable"`
			NVRAM      struct{ Filename string } `json:"nvram-template"`
		} `json:"mapping"`
		Targets  []FirmwareTarget `json:"targets"`
		Features []string         `json:"features"`
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return Firmware{}, err
	}
	return Firmware{
		Executable: d.Mapping.Executable.Filename, NVRAM: d.Mapping.NVRAM.Filename, Targets: d.Targets,
		SecureBoot:   slices.Contains(d.Features, "secure-boot"),
		RequiresSMM:  slices.Contains(d.Features, "requires-smm"),
		EnrolledKeys: slices.Contains(d.Features, "enrolled-keys"),
	}, nil
}

// FirmwareOptions says which firmware is wanted.
type FirmwareOptions struct {
	Arch, Machine string // machine type or alias
	SecureBoot    bool   // wanted, or else not wanted
}

// FindFirmware returns the first firmware that fits; false if none does.
func (f *Facts) FindFirmware(o FirmwareOptions) (Firmware, bool) {
	machine, ok := f.CanonicalMachine(o.Arch, o.Machine)
	if !ok {
		return Firmware{}, false
	}
	for _, fw := range f.Firmware {
		if fw.SecureBoot == o.SecureBoot && fw.Executable != "" && fw.fits(o.Arch, machine) {
			return fw, true
		}
	}
	return Firmware{}, false
}

func (fw Firmware) fits(arch, machine string) bool {
	for _, t := range fw.Targets {
		if t.Arch != arch {
			continue
		}
		for _, pattern := range t.Machines {
			if ok, _ := path.Match(pattern, machine); ok { // a bad pattern fits nothing
				return true
			}
		}
	}
	return false
}
