package guest

import (
	"strconv"

	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

// ConsoleLog is the file of an instance's directory that its serial console is written to.
const ConsoleLog = "console.log"

// maxSerialPorts is how many a PC has.
const maxSerialPorts = 4

// SerialPortCount is how many TCP ports the guest's serial consoles need; 0 where they are not reached over TCP.
func SerialPortCount(r Request) (int, error) {
	if !r.Settings.SerialConsole {
		return 0, nil
	}
	w := wishesOf(r)
	count := 0
	if text := w.specs["hw:serial_port_count"]; text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			return 0, nova.NewError("ImageSerialPortNumberInvalid", map[string]any{"num_ports": text})
		}
	}
	if fromImage := int(w.props.Int("hw_serial_port_count")); fromImage != 0 {
		if count != 0 && fromImage > count {
			return 0, nova.NewError("ImageSerialPortNumberExceedFlavorValue", nil)
		}
		count = fromImage
	}
	if count > maxSerialPorts {
		return 0, nova.NewError("SerialPortNumberLimitExceeded", map[string]any{
			"allowed": maxSerialPorts, "virt_type": r.Settings.VirtType,
		})
	}
	return max(1, count), nil
}

// addConsoles adds the serial ports. The first one, which has the kernel's messages, is always logged.
func addConsoles(g *domainxml.Guest, r Request, _ wishes) error {
	log := domainxml.CharLog{File: r.path(ConsoleLog)}
	if !r.Settings.SerialConsole {
		g.Serials = []domainxml.Serial{{Source: domainxml.Pty{}, Log: log}}
		return nil
	}
	for i, port := range r.SerialPorts {
		serial := domainxml.Serial{Source: domainxml.TCPListener{Host: r.Settings.SerialHost, Port: port}}
		if i == 0 {
			serial.Log = log
		}
		g.Serials = append(g.Serials, serial)
	}
	return nil
}

// addGuestAgent adds the channel to the QEMU guest agent, where the image has one.
func addGuestAgent(g *domainxml.Guest, r Request, w wishes) error {
	if !w.props.Bool("hw_qemu_guest_agent") {
		return nil
	}
	const name = "org.qemu.guest_agent.0"
	g.Channels = append(g.Channels, domainxml.Channel{
		Source: domainxml.UnixListener("/var/lib/libvirt/qemu/" + name + "." + g.Name + ".sock"), Name: name,
	})
	encrypted, err := w.memoryEncryption(r)
	if encrypted {
		// libvirt would add this by itself, but not so that it works with encrypted memory.
		g.Controllers = append(g.Controllers, domainxml.Controller{Type: "virtio-serial"})
	}
	return err
}
