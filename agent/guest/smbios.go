package guest

import (
	"strings"

	"bolide/hypervisor/domainxml"
)

// smbios is what the guest sees as the maker and numbers of its machine.
func smbios(r Request) domainxml.SMBIOS {
	if !isX86(r.arch()) {
		return domainxml.SMBIOS{}
	}
	return domainxml.SMBIOS{
		Manufacturer: r.Settings.Product.Vendor,
		Product:      r.Settings.Product.Name,
		Version:      r.Settings.Product.Version,
		Serial:       serial(r),
		UUID:         r.Instance.UUID(),
		Family:       "Virtual Machine",
	}
}

// serial is the machine's serial number: the guest's own, or one of the host by which guests can see that they share it.
func serial(r Request) string {
	switch mode := r.Settings.SysinfoSerial; {
	case mode == "none":
		return ""
	case mode == "hardware" || mode == "auto" && r.Host.MachineID == "":
		return r.Host.UUID
	case mode == "os" || mode == "auto":
		return dashed(r.Host.MachineID)
	}
	return r.Instance.UUID()
}

// dashed writes 32 hexadecimal digits as a UUID.
func dashed(id string) string {
	id = strings.ReplaceAll(strings.TrimSpace(id), "-", "")
	if len(id) != 32 {
		return id
	}
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}
