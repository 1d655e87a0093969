package guest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"bolide/hypervisor/domainxml"
	"bolide/test/virt"
)

// TestLibvirtMakesTheSame gives Nova's domains and ours to libvirt, and compares what it stores of each: with the
// defaults, the devices and the addresses that it adds. Those for KVM cannot be defined without it.
func TestLibvirtMakesTheSame(t *testing.T) {
	daemon := virt.Start(t)
	conn, err := libvirt.NewConnect(daemon.URI())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, g := range goldens(t) {
		if g.About.Override.Settings != nil {
			continue
		}
		t.Run(g.Name, func(t *testing.T) {
			novas, ours := g.domains(t)
			want, wantErr := stored(t, conn, novas)
			got, gotErr := stored(t, conn, ours)
			if wantErr != nil || gotErr != nil {
				t.Fatalf("Nova's: %v, ours: %v", wantErr, gotErr)
			}
			want.Metadata.XML, got.Metadata.XML = canonicalXML(t, want.Metadata.XML), canonicalXML(t, got.Metadata.XML)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("of Nova's (-) and of ours (+) libvirt makes:\n%s", diff)
			}
		})
	}
}

// domains are Nova's, with the deliberate differences applied, and ours.
func (g golden) domains(t *testing.T) (novas, ours *libvirtxml.Domain) {
	t.Helper()
	novas = g.novas(t)
	described := g.describe(t, *novas)
	ours, err := domainxml.Build(described)
	if err != nil {
		t.Fatal(err)
	}
	return novas, ours
}

// stored defines a domain and reads it back.
func stored(t *testing.T, conn *libvirt.Connect, d *libvirtxml.Domain) (out libvirtxml.Domain, err error) {
	t.Helper()
	text, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	dom, err := conn.DomainDefineXML(text)
	if err != nil {
		return out, err
	}
	defer func() {
		err = errors.Join(err, dom.UndefineFlags(libvirt.DOMAIN_UNDEFINE_NVRAM), dom.Free())
	}()
	text, err = dom.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return out, err
	}
	return out, out.Unmarshal(strings.TrimSpace(text))
}
