package agent

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"

	"bolide/agent/cloud"
	"bolide/agent/config"
	"bolide/agent/guest"
	"bolide/hypervisor"
	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// This file keeps the secrets of emulated TPMs. What such a TPM holds lies on the host, sealed with a passphrase that
// Barbican keeps for the user's project alone: whoever starts the guest has to show the user's token. libvirt knows the
// passphrase while the guest starts and no longer.

// passphraseBytes is how long a passphrase is before it is written in base64; Nova's.
const passphraseBytes = 384

// errNoUser is why a TPM's secret cannot be had by what the node does of itself.
var errNoUser = errors.New("the secret of the guest's TPM is its user's, and nobody's token came with this task")

// secretOwner is in whose name Barbican is asked.
func (t *task) secretOwner() (cloud.Identity, error) {
	if t.id.Token == "" { // the node's own would not be Nova's way, and is not let in
		return t.id, errNoUser
	}
	return t.id, nil
}

// tpmSecret is the id of the secret of the guest's TPM; "": it has none.
func (t *task) tpmSecret() string { return t.inst.SystemMetadata()[guest.SecretOfTPM] }

// passphrase reads what the guest's TPM is sealed with.
func (t *task) passphrase(ctx context.Context) ([]byte, error) {
	owner, err := t.secretOwner()
	if err != nil {
		return nil, err
	}
	value, err := t.cloud.Keys().Secret(ctx, owner, t.tpmSecret())
	if cloud.IsNotFound(err) {
		t.log.Warn("Barbican has no secret for the guest's TPM any more: what the TPM holds cannot be read again")
	}
	return value, err
}

// checkTPM refuses to go on where the guest is to be switched off and started again, but its TPM could not be opened.
func (t *task) checkTPM(ctx context.Context) error {
	if t.tpmSecret() == "" {
		return nil
	}
	_, err := t.passphrase(ctx)
	return err
}

// startGuest starts a defined guest; libvirt is given the secret of its TPM for that time.
func (t *task) startGuest(ctx context.Context, o hypervisor.StartOptions) error {
	id := t.tpmSecret()
	if id == "" {
		return t.hypervisor.Start(ctx, t.inst.UUID(), o)
	}
	value, err := t.passphrase(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err := t.hypervisor.UndefineTPMSecret(context.WithoutCancel(ctx), t.inst.UUID()); err != nil {
			t.log.WithError(err).Warn("libvirt keeps the secret of the guest's TPM until libvirtd restarts")
		}
	}()
	if err := t.hypervisor.DefineTPMSecret(ctx, hypervisor.TPMSecret{UUID: id, Guest: t.inst.UUID(), Value: value}); err != nil {
		return err
	}
	return t.hypervisor.Start(ctx, t.inst.UUID(), o)
}

// makeTPMSecret makes the secret of the TPM that the guest is to have, unless it has one.
func (s *spawn) makeTPMSecret(ctx context.Context) error {
	if !s.cfg.Libvirt.SWTPMEnabled || s.tpmSecret() != "" {
		return nil
	}
	tpm, err := guest.TPM(s.inst.Flavor(), s.meta)
	if err != nil || tpm == (domainxml.TPM{}) {
		return err
	}
	owner, err := s.secretOwner()
	if err != nil {
		return err
	}
	random := make([]byte, passphraseBytes)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	passphrase := []byte(base64.StdEncoding.EncodeToString(random))
	id, err := s.cloud.Keys().StorePassphrase(ctx, owner, "vTPM secret for instance "+s.inst.UUID(), passphrase)
	if err != nil {
		return err
	}
	s.madeSecret = true
	s.inst.PutSystemMetadata(guest.SecretOfTPM, id)
	if err := s.cond.SaveInstance(ctx, s.inst, nova.Expect{}); err != nil {
		return fmt.Errorf("save the id of the TPM's secret: %w", err)
	}
	return nil
}

// unmakeTPMSecret removes the secret that makeTPMSecret made.
func (s *spawn) unmakeTPMSecret(ctx context.Context) error {
	if !s.madeSecret {
		return nil
	}
	s.madeSecret = false
	return s.deleteTPMSecret(ctx)
}

// deleteTPMSecret removes the secret of the guest's TPM, if it has one, for good. The next write of the record, or the
// end of the instance, makes its id go.
func (t *task) deleteTPMSecret(ctx context.Context) error {
	id := t.tpmSecret()
	if id == "" {
		return nil
	}
	owner, err := t.secretOwner()
	if err != nil {
		return err
	}
	if err := t.cloud.Keys().Delete(ctx, owner, id); err != nil && !cloud.IsNotFound(err) {
		return err
	}
	t.inst.DropSystemMetadata(guest.SecretOfTPM)
	return nil
}

// endGuest ends a guest that is to start again. What libvirt keeps for a TPM it removes with the definition, so a guest
// with one keeps its definition until the next takes its place.
func (t *task) endGuest(ctx context.Context) error {
	if t.tpmSecret() != "" {
		return t.stopGuest(ctx)
	}
	return t.removeDomain(ctx)
}

// checkEmulator refuses a host that could not run the emulated TPMs that its configuration offers. The user and group
// own what TPMs hold, which moves bring to other hosts.
func checkEmulator(l config.Libvirt) error {
	if !l.SWTPMEnabled {
		return nil
	}
	_, noEmulator := exec.LookPath("swtpm")
	_, noSetup := exec.LookPath("swtpm_setup")
	if noEmulator != nil && noSetup != nil {
		return errors.New("[libvirt] swtpm_enabled is set, but neither swtpm nor swtpm_setup is installed")
	}
	_, _, err := emulatorIDs(l.SWTPMUser, l.SWTPMGroup)
	return err
}

// checkTPMs refuses to look after guests with emulated TPMs where they are switched off: they could not be started.
func (a *Agent) checkTPMs(instances []*nova.Instance) error {
	if a.cfg.Libvirt.SWTPMEnabled {
		return nil
	}
	for _, i := range instances {
		if tpm, err := guest.TPM(i.Flavor(), i.Image()); err == nil && tpm != (domainxml.TPM{}) {
			return fmt.Errorf("instance %s of this host has an emulated TPM: set [libvirt] swtpm_enabled", i.UUID())
		}
	}
	return nil
}
