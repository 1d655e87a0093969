package virt

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// Guest is the smallest guest there is: its disk holds a boot sector alone, which
// writes Banner to the serial console and turns the machine off when the power
// button is pressed (ACPI shutdown). It needs no kernel and boots in a second
// under emulation.
type Guest struct {
	UUID, Name string
	Disk       string // raw image, target vda
	Console    string // what the guest writes on its serial console ends up here
	XML        string // domain description, to be defined by the test
}

// Banner is what a guest writes on its console when it runs.
const Banner = "guest up\r\n"

// diskSize is the size of a guest's disk in bytes.
const diskSize = 1 << 20

// GuestOptions says in what a guest differs from the smallest one.
type GuestOptions struct {
	Devices  string // optional: more device elements
	MemoryMB int    // optional: 32 are enough for the smallest
}

var guestXML = template.Must(template.New("guest").Parse(`<domain type='qemu'>
  <name>{{.Name}}</name>
  <uuid>{{.UUID}}</uuid>
  <memory unit='MiB'>{{or .Memory 32}}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>{{.Emulator}}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{{.Disk}}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <serial type='file'><source path='{{.Console}}'/></serial>
    {{.Devices}}
  </devices>
</domain>
`))

// NewGuest makes a guest's disk and describes the guest; it is not defined yet.
func (d *Daemon) NewGuest(tb testing.TB, o GuestOptions) Guest {
	tb.Helper()
	emulator, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		tb.Fatal(err)
	}
	id := uuid.NewString()
	dir := filepath.Join(d.Dir(), id)
	g := Guest{
		UUID: id, Name: "virt-" + id[:8],
		Disk: filepath.Join(dir, "disk"), Console: filepath.Join(dir, "console.log"),
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := WriteBootDisk(g.Disk); err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	err = guestXML.Execute(&b, map[string]any{
		"Name": g.Name, "UUID": g.UUID, "Emulator": emulator,
		"Disk": g.Disk, "Console": g.Console, "Devices": o.Devices, "Memory": o.MemoryMB,
	})
	if err != nil {
		tb.Fatal(err)
	}
	g.XML = b.String()
	return g
}

// WriteBootDisk writes a raw disk that boots into Banner. Its guest does not let go
// of devices that are to be detached.
func WriteBootDisk(path string) error { return writeDisk(path, bootSector(Banner, nil)) }

// WriteObligingBootDisk writes a disk as WriteBootDisk does, whose guest lets go of
// PCI devices when it is asked to.
func WriteObligingBootDisk(path string) error { return writeDisk(path, bootSector(Banner, eject)) }

func writeDisk(path string, sector []byte) error {
	disk := make([]byte, diskSize)
	copy(disk, sector)
	return os.WriteFile(path, disk, 0o644)
}

// eject does for PCI hot-plug what the ACPI code of QEMU's machine type pc tells an
// operating system to do: it reads which slots are to be emptied, and empties them.
var eject = []byte{
	0xba, 0x04, 0xae, // mov dx, 0xae04
	0x66, 0xed, // in eax, dx
	0x66, 0x85, 0xc0, // test eax, eax
	0x74, 0x05, // jz done
	0xba, 0x08, 0xae, // mov dx, 0xae08
	0x66, 0xef, // out dx, eax
}

// bootSector assembles 16-bit code that writes text on COM1 and then sleeps between
// timer ticks, at each of which it does more, until the power button's bit in the ACPI
// PM1 status register is set (SeaBIOS puts those registers at 0x600), when it enters S5.
func bootSector(text string, more []byte) []byte {
	code := []byte{
		0x31, 0xc0, // xor ax, ax
		0x8e, 0xd8, // mov ds, ax
		0xbe, 0x00, 0x00, // mov si, text (filled in below)
		0xba, 0xf8, 0x03, // mov dx, 0x3f8
		0xac,       // next: lodsb
		0x84, 0xc0, // test al, al
		0x74, 0x03, // jz enable
		0xee,       // out dx, al
		0xeb, 0xf8, // jmp next
		0xba, 0x02, 0x06, // enable: mov dx, 0x602
		0xb8, 0x00, 0x01, // mov ax, power button enable
		0xef, // out dx, ax
		0xfb, // wait: sti
		0xf4, // hlt
	}
	code = append(code, more...)
	back := byte(len(more))
	code = append(code,
		0xba, 0x00, 0x06, // mov dx, 0x600
		0xed,             // in ax, dx
		0xf6, 0xc4, 0x01, // test ah, 1
		0x74, 0xf5-back, // jz wait
		0xba, 0x04, 0x06, // mov dx, 0x604
		0xb8, 0x00, 0x20, // mov ax, sleep enable, type 0
		0xef,            // out dx, ax
		0xeb, 0xec-back, // jmp wait
	)
	const loadedAt = 0x7c00
	at := loadedAt + len(code)
	code[5], code[6] = byte(at), byte(at>>8)
	sector := make([]byte, 512)
	copy(sector, code)
	copy(sector[len(code):510], text) // ends in zero: the sector was
	sector[510], sector[511] = 0x55, 0xaa
	return sector
}

// WaitConsole waits until the guest has written text on its console.
func (g Guest) WaitConsole(tb testing.TB, text string) {
	tb.Helper()
	const limit = 3 * time.Minute // emulated, on a busy machine, and some boot a kernel
	var last []byte
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		last, _ = os.ReadFile(g.Console)
		if bytes.Contains(last, []byte(text)) {
			return
		}
	}
	tb.Fatalf("guest %s wrote %q in %s, not %q", g.Name, last, limit, text)
}

// FreezeGuest stops the QEMU of a guest with SIGSTOP, so that its monitor hangs.
func (d *Daemon) FreezeGuest(g Guest) error { return d.signalGuest(g, unix.SIGSTOP) }

// ThawGuest lets a frozen guest go on.
func (d *Daemon) ThawGuest(g Guest) error { return d.signalGuest(g, unix.SIGCONT) }

// KillGuest ends the QEMU of a guest with SIGKILL.
func (d *Daemon) KillGuest(g Guest) error { return d.signalGuest(g, unix.SIGKILL) }

func (d *Daemon) signalGuest(g Guest, s unix.Signal) error {
	b, err := os.ReadFile(filepath.Join(d.dir, "run", "qemu", g.Name+".pid"))
	if err != nil {
		return fmt.Errorf("guest %s does not run: %w", g.Name, err)
	}
	pid, err := outerPID(d.holder.pid, strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	return unix.Kill(pid, s)
}

// outerPID finds which process of this machine has the given number in the PID
// namespace of the holder.
func outerPID(holder int, inner string) (int, error) {
	want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", holder))
	if err != nil {
		return 0, err
	}
	statuses, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	for _, status := range statuses {
		dir := filepath.Dir(status)
		if ns, err := os.Readlink(filepath.Join(dir, "ns", "pid")); err != nil || ns != want {
			continue // another namespace, or gone meanwhile
		}
		b, err := os.ReadFile(status)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 1 && f[0] == "NSpid:" && f[len(f)-1] == inner {
				return strconv.Atoi(filepath.Base(dir))
			}
		}
	}
	return 0, fmt.Errorf("no process %s in the namespace of %d", inner, holder)
}
