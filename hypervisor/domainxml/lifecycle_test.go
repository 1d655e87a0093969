package domainxml

import "testing"

func TestLifecycle(t *testing.T) {
	g := smallest()
	g.Lifecycle = Lifecycle{OnPowerOff: "destroy", OnReboot: "restart", OnCrash: "preserve"}
	d := build(t, g)
	same(t, [3]string{"destroy", "restart", "preserve"}, [3]string{d.OnPoweroff, d.OnReboot, d.OnCrash})
}
