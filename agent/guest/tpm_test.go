package guest

import (
	"testing"

	"bolide/hypervisor/domainxml"
)

// TestTPM holds what flavor and image ask for against what Nova makes of it.
func TestTPM(t *testing.T) {
	for name, c := range map[string]struct {
		specs map[string]string
		props map[string]any
		want  domainxml.TPM
	}{
		"none":                    {},
		"a model alone":           {specs: map[string]string{"hw:tpm_model": "tpm-crb"}},
		"of the flavor":           {specs: map[string]string{"hw:tpm_version": "2.0"}, want: domainxml.TPM{Model: "tpm-tis", Version: "2.0"}},
		"of the image":            {props: map[string]any{"hw_tpm_version": "1.2"}, want: domainxml.TPM{Model: "tpm-tis", Version: "1.2"}},
		"version and model apart": {specs: map[string]string{"hw:tpm_version": "2.0"}, props: map[string]any{"hw_tpm_model": "tpm-crb"}, want: domainxml.TPM{Model: "tpm-crb", Version: "2.0"}},
		"of both": {
			specs: map[string]string{"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-tis"}, props: map[string]any{"hw_tpm_version": "2.0", "hw_tpm_model": "tpm-tis"},
			want: domainxml.TPM{Model: "tpm-tis", Version: "2.0"},
		},
	} {
		r := ask(t, c.specs, c.props)
		if got, err := TPM(r.Instance.Flavor(), r.image()); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
