package domainxml

import "libvirt.org/go/libvirtxml"

// TPM is an emulated trusted platform module. The zero value leaves it out.
type TPM struct {
	Model      string // "tpm-tis", "tpm-crb"
	Version    string // "1.2", "2.0"
	SecretUUID string // secret, kept by libvirt, that encrypts its state
}

func (t TPM) build() libvirtxml.DomainTPM {
	emulator := &libvirtxml.DomainTPMBackendEmulator{Version: t.Version}
	if t.SecretUUID != "" {
		emulator.Encryption = &libvirtxml.DomainTPMBackendEncryption{Secret: t.SecretUUID}
	}
	return libvirtxml.DomainTPM{Model: t.Model, Backend: &libvirtxml.DomainTPMBackend{Emulator: emulator}}
}
