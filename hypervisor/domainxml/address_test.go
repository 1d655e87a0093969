package domainxml

import (
	"fmt"
	"testing"
)

func TestParsePCIAddress(t *testing.T) {
	for text, want := range map[string]PCIAddress{
		"0000:3b:02.1": {Bus: 0x3b, Slot: 2, Function: 1},
		"10af:00:1f.7": {Domain: 0x10af, Slot: 0x1f, Function: 7},
	} {
		got, err := ParsePCIAddress(text)
		if err != nil || got != want {
			t.Errorf("%s is %+v, error %v", text, got, err)
		}
	}
	for _, text := range []string{"", "3b:02.1", "0000:3b:02", "0000:3b:02.8", "0000:3b:20.1", "0000:100:02.1", "0000:3b:02.1x", "10000:3b:02.1"} {
		if got, err := ParsePCIAddress(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func FuzzParsePCIAddress(f *testing.F) {
	f.Add("0000:3b:02.1")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParsePCIAddress(text)
		if err != nil {
			return
		}
		again, err := ParsePCIAddress(fmt.Sprintf("%04x:%02x:%02x.%x", a.Domain, a.Bus, a.Slot, a.Function))
		if err != nil || again != a {
			t.Errorf("%q is %+v, and that is %+v, error %v", text, a, again, err)
		}
	})
}
