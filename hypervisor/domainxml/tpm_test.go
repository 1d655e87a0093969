package domainxml

import (
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestTPM(t *testing.T) {
	g := smallest()
	g.TPM = TPM{Model: "tpm-crb", Version: "2.0", SecretUUID: "s"}
	same(t, []libvirtxml.DomainTPM{{
		Model: "tpm-crb",
		Backend: &libvirtxml.DomainTPMBackend{Emulator: &libvirtxml.DomainTPMBackendEmulator{
			Version: "2.0", Encryption: &libvirtxml.DomainTPMBackendEncryption{Secret: "s"},
		}},
	}}, build(t, g).Devices.TPMs)
}
