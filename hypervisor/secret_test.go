package hypervisor

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"

	"bolide/test/virt"
)

// TestTPMSecret looks at the secrets that libvirt has.
func TestTPMSecret(t *testing.T) {
	d := virt.Start(t)
	h := connect(t, d, Options{})
	conn, err := libvirt.NewConnect(d.URI())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := within(t, patience)
	guest := uuid.NewString()
	for _, id := range []string{uuid.NewString(), uuid.NewString()} { // the second in place of the first
		for range 2 {
			if err := h.DefineTPMSecret(ctx, TPMSecret{UUID: id, Guest: guest, Value: []byte("sesame")}); err != nil {
				t.Fatal(err)
			}
		}
		if ids, err := conn.ListSecrets(); err != nil || len(ids) != 1 || ids[0] != id {
			t.Errorf("secrets: %q, %v, not %s", ids, err, id)
		}
		secret, err := conn.LookupSecretByUsage(libvirt.SECRET_USAGE_TYPE_VTPM, guest)
		if err != nil {
			t.Fatal(err)
		}
		if value, err := secret.GetValue(0); !isCode(err, libvirt.ERR_INVALID_SECRET) {
			t.Errorf("the secret is shown: %q, %v", value, err)
		}
		if err := secret.Free(); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := h.UndefineTPMSecret(ctx, guest); err != nil {
			t.Errorf("undefine: %v", err)
		}
	}
	if ids, err := conn.ListSecrets(); err != nil || len(ids) != 0 {
		t.Errorf("secrets: %q, %v", ids, err)
	}
	err = h.DefineTPMSecret(ctx, TPMSecret{UUID: "no id", Guest: guest, Value: []byte("sesame")})
	var refused *Error
	if !errors.As(err, &refused) || refused.Guest != guest {
		t.Errorf("a secret without an id: %v", err)
	}
}
