package netplug

import "github.com/sirupsen/logrus"

// toldLinks tells the log of every change to the host's links before it is made.
type toldLinks struct {
	links
	log *logrus.Entry
}

// tell has a word for the change and the link that it is made to or that it makes.
func (t toldLinks) tell(change, device string) {
	t.log.WithField("change", change).WithField("device", device).Debug("changing the host's links")
}

func (t toldLinks) AddBridge(name string, o bridgeOptions) error {
	t.tell("add bridge", name)
	return t.links.AddBridge(name, o)
}

func (t toldLinks) AddVeth(name, peer string) error {
	t.tell("add veth", name)
	return t.links.AddVeth(name, peer)
}

func (t toldLinks) AddTap(name string, o tapOptions) error {
	t.tell("add tap", name)
	return t.links.AddTap(name, o)
}

func (t toldLinks) AddVLAN(name, parent string, id int) error {
	t.tell("add vlan", name)
	return t.links.AddVLAN(name, parent, id)
}

func (t toldLinks) Isolate(name string) error {
	t.tell("isolate", name)
	return t.links.Isolate(name)
}

func (t toldLinks) Up(name string) error {
	t.tell("set up", name)
	return t.links.Up(name)
}

func (t toldLinks) Down(name string) error {
	t.tell("set down", name)
	return t.links.Down(name)
}

func (t toldLinks) SetMTU(name string, mtu int) error {
	t.tell("set mtu of", name)
	return t.links.SetMTU(name, mtu)
}

func (t toldLinks) SetMAC(name, mac string) error {
	t.tell("set address of", name)
	return t.links.SetMAC(name, mac)
}

func (t toldLinks) SetBridge(name, bridge string) error {
	t.tell("put on bridge", name)
	return t.links.SetBridge(name, bridge)
}

func (t toldLinks) SetFunction(card string, n int, f function) error {
	t.tell("set function of", card)
	return t.links.SetFunction(card, n, f)
}

func (t toldLinks) Delete(name string) error {
	t.tell("delete", name)
	return t.links.Delete(name)
}
