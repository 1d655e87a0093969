package hypervisor

import (
	"context"
	"errors"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// TPMSecret opens a guest's emulated TPM.
type TPMSecret struct {
	UUID  string // by which the guest's description names it
	Guest string // UUID of the guest
	Value []byte
}

// DefineTPMSecret gives libvirt the secret with which it opens a guest's emulated TPM when the guest starts, in place of
// any that it has for the guest. It is kept in libvirt's memory alone, and shown to nobody.
func (h *Host) DefineTPMSecret(ctx context.Context, s TPMSecret) error {
	xml, err := (&libvirtxml.Secret{
		Ephemeral: "yes", Private: "yes", UUID: s.UUID, Usage: &libvirtxml.SecretUsage{Type: "vtpm", Name: s.Guest},
	}).Marshal()
	if err != nil {
		return err
	}
	_, err = actHost(ctx, h, call{op: "define the TPM's secret of", guest: s.Guest}, func(_ context.Context, conn *libvirt.Connect) (none, error) {
		if err := undefineTPMSecret(conn, s.Guest); err != nil { // left by a start that was cut off
			return none{}, err
		}
		secret, err := conn.SecretDefineXML(xml, 0)
		if err != nil {
			return none{}, err
		}
		defer free(secret)
		if err := secret.SetValue(s.Value, 0); err != nil {
			return none{}, errors.Join(err, secret.Undefine())
		}
		return none{}, nil
	})
	return err
}

// UndefineTPMSecret makes libvirt forget the secret of a guest's emulated TPM. It is no error if there is none.
func (h *Host) UndefineTPMSecret(ctx context.Context, guest string) error {
	c := call{op: "forget the TPM's secret of", guest: guest, force: true} // a start that hangs does not need it any more
	_, err := actHost(ctx, h, c, func(_ context.Context, conn *libvirt.Connect) (none, error) {
		return none{}, undefineTPMSecret(conn, guest)
	})
	return err
}

func undefineTPMSecret(conn *libvirt.Connect, guest string) error {
	secret, err := conn.LookupSecretByUsage(libvirt.SECRET_USAGE_TYPE_VTPM, guest)
	if err != nil {
		if isCode(err, libvirt.ERR_NO_SECRET) {
			return nil
		}
		return err
	}
	defer free(secret)
	return secret.Undefine()
}
