package domainxml

import (
	"strconv"

	"libvirt.org/go/libvirtxml"
)

// CharSource is the host's end of a character device: Pty, LogFile, TCPListener, UnixListener or SpiceVMC.
type CharSource interface {
	charSource() *libvirtxml.DomainChardevSource
}

// Pty is a pseudo terminal that libvirt opens.
type Pty struct{}

// LogFile is the path of a file that output goes to.
type LogFile string

// TCPListener is a socket that QEMU listens on.
type TCPListener struct {
	Host string
	Port int
}

// UnixListener is the path of a socket that QEMU listens on.
type UnixListener string

// SpiceVMC is the agent channel of the guest's SPICE server.
type SpiceVMC struct{}

// CharLog keeps what a character device puts out, whatever its source.
type CharLog struct {
	File   string
	Append bool // keep what earlier starts of the guest wrote
}

func (l CharLog) build() *libvirtxml.DomainChardevLog {
	if l == (CharLog{}) {
		return nil
	}
	return &libvirtxml.DomainChardevLog{File: l.File, Append: onOff(l.Append)}
}

func (Pty) charSource() *libvirtxml.DomainChardevSource {
	return &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}}
}

func (path LogFile) charSource() *libvirtxml.DomainChardevSource {
	return &libvirtxml.DomainChardevSource{File: &libvirtxml.DomainChardevSourceFile{Path: string(path)}}
}

func (l TCPListener) charSource() *libvirtxml.DomainChardevSource {
	return &libvirtxml.DomainChardevSource{
		TCP: &libvirtxml.DomainChardevSourceTCP{Mode: "bind", Host: l.Host, Service: strconv.Itoa(l.Port)},
	}
}

func (path UnixListener) charSource() *libvirtxml.DomainChardevSource {
	return &libvirtxml.DomainChardevSource{
		UNIX: &libvirtxml.DomainChardevSourceUNIX{Mode: "bind", Path: string(path)},
	}
}

func (SpiceVMC) charSource() *libvirtxml.DomainChardevSource {
	return &libvirtxml.DomainChardevSource{SpiceVMC: &libvirtxml.DomainChardevSourceSpiceVMC{}}
}
