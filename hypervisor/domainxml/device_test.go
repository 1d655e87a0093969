package domainxml

import (
	"strings"
	"testing"
)

func TestInterfaceXML(t *testing.T) {
	xml, err := InterfaceXML(Interface{MAC: "fa:16:3e:00:00:01", Source: Bridge("br0"), Model: "virtio"})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`<interface type="bridge">`, `<mac address="fa:16:3e:00:00:01"`, `<source bridge="br0"`, `<model type="virtio"`} {
		if !strings.Contains(xml, part) {
			t.Errorf("%s is not in\n%s", part, xml)
		}
	}
	if _, err := InterfaceXML(Interface{MAC: "no"}); err == nil {
		t.Error("a card without source was described")
	}
}
