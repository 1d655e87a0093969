package guest

import (
	"fmt"

	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// SecretOfTPM is where an instance's system metadata has the id of its emulated TPM's secret.
const SecretOfTPM = "vtpm_secret_uuid"

// TPM is the emulated TPM that a guest of the flavor and the image has, without its secret; the zero value is none.
// What they ask for may be no TPM, or two: then it returns Nova's refusal, Invalid or FlavorImageConflict.
func TPM(flavor nova.Flavor, image nova.ImageMeta) (domainxml.TPM, error) {
	w := wishesFor(flavor, image)
	version, err := w.choice("hw", "tpm_version")
	if err != nil || version == "" {
		return domainxml.TPM{}, err
	}
	model, err := w.choice("hw", "tpm_model")
	if err != nil {
		return domainxml.TPM{}, err
	}
	invalid := func(format string, args ...any) (domainxml.TPM, error) {
		return domainxml.TPM{}, nova.NewErrorText("Invalid", fmt.Sprintf(format, args...))
	}
	switch {
	case version != "1.2" && version != "2.0":
		return invalid("Invalid TPM version '%s'. Allowed values: 1.2, 2.0.", version)
	case model == "":
		model = "tpm-tis"
	case model != "tpm-tis" && model != "tpm-crb":
		return invalid("Invalid TPM model '%s'. Allowed values: tpm-tis, tpm-crb.", model)
	case model == "tpm-crb" && version != "2.0":
		return invalid("TPM model CRB is only valid with TPM version 2.0.")
	}
	return domainxml.TPM{Model: model, Version: version}, nil
}

// addTPM adds an emulated TPM. Its secret must have been made, and its id recorded, before.
func addTPM(g *domainxml.Guest, r Request, w wishes) error {
	tpm, err := TPM(w.flavor, w.image)
	if err != nil || tpm == (domainxml.TPM{}) {
		return err
	}
	if tpm.SecretUUID = r.Instance.SystemMetadata()[SecretOfTPM]; tpm.SecretUUID == "" {
		return nova.NewErrorText("Invalid", "Refusing to create an emulated TPM with no secret!")
	}
	g.TPM = tpm
	return nil
}
