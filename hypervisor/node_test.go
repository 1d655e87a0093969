package hypervisor

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestUptimeLine(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 5, 7, 0, time.UTC)
	for _, test := range []struct {
		seconds string
		users   int
		want    string
	}{
		{"0.50 1.00", 0, " 09:05:07 up 0 min,  0 user,  load average: 0.50, 1.25, 2.00\n"},
		{"2400.12 1", 1, " 09:05:07 up 40 min,  1 user,  load average: 0.50, 1.25, 2.00\n"},
		{"3660.00 1", 2, " 09:05:07 up  1:01,  2 users,  load average: 0.50, 1.25, 2.00\n"},
		{"90000.00 1", 12, " 09:05:07 up 1 day,  1:00, 12 users,  load average: 0.50, 1.25, 2.00\n"},
		{"8640300.00 1", 3, " 09:05:07 up 100 days, 5 min,  3 users,  load average: 0.50, 1.25, 2.00\n"},
	} {
		got, err := uptimeLine(now, test.seconds, "0.50 1.25 2.00 1/100 99\n", test.users)
		if err != nil || got != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.seconds, got, err, test.want)
		}
	}
	for _, bad := range [][2]string{{"", "1 2 3"}, {"x", "1 2 3"}, {"1.0", "1 2"}, {"-1.0", "1 2 3"}} {
		if got, err := uptimeLine(now, bad[0], bad[1], 0); err == nil {
			t.Errorf("%q gives %q", bad, got)
		}
	}
}

// TestUptimeAsTheTool compares with uptime(1) but for the numbers, which move.
func TestUptimeAsTheTool(t *testing.T) {
	tool, err := exec.LookPath("uptime")
	if err != nil {
		t.Skip("needs uptime(1)")
	}
	cmd := exec.CommandContext(within(t, patience), tool)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := New(Options{Log: testLog(t)}).Uptime(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	digits := regexp.MustCompile(` *[0-9]+`)
	shape := func(s string) string { return digits.ReplaceAllString(strings.ReplaceAll(s, "users", "user"), "#") }
	if shape(got) != shape(string(out)) {
		t.Errorf("got %q, uptime(1) says %q", got, out)
	}
}

func TestCountUsers(t *testing.T) {
	var utmp []byte
	for _, kind := range []uint16{2, utmpProcess, 8, utmpProcess, 1} {
		record := make([]byte, utmpSize)
		binary.NativeEndian.PutUint16(record, kind)
		utmp = append(utmp, record...)
	}
	if n := countUsers(utmp); n != 2 {
		t.Errorf("%d users", n)
	}
	if n := countUsers(utmp[:utmpSize*2-1]); n != 0 {
		t.Errorf("%d users in a file cut short", n)
	}
}

func TestAvailableMemory(t *testing.T) {
	const meminfo = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:   9000 kB\n" +
		"Buffers:          200 kB\nCached:          4000 kB\nSwapCached:        77 kB\n"
	if got, err := availableKiB(meminfo); got != 5200 || err != nil {
		t.Errorf("available: %d, %v", got, err)
	}
	for _, bad := range []string{"", "MemFree: 1 kB\nCached: 2 kB\n", "MemFree: x kB\nBuffers: 1 kB\nCached: 2 kB\n"} {
		if got, err := availableKiB(bad); err == nil {
			t.Errorf("%q gives %d", bad, got)
		}
	}
}

func FuzzAvailableMemory(f *testing.F) {
	f.Add("MemFree: 1 kB\nBuffers: 1 kB\nCached: 2 kB\n")
	f.Fuzz(func(t *testing.T, meminfo string) {
		if n, err := availableKiB(meminfo); err != nil && n != 0 {
			t.Errorf("%d with error %v", n, err)
		}
	})
}

func TestKVM(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := testFacts(t)
	for name, device := range map[string]string{"missing": filepath.Join(dir, "none"), "no device": file} {
		h := New(Options{KVMDevice: device, Log: testLog(t)})
		f.KVM = h.probeKVM(f)
		err := f.CheckVirtType("kvm")
		if f.KVM.Usable || err == nil {
			t.Fatalf("%s: KVM is usable", name)
		}
		if !strings.Contains(err.Error(), "virt_type = qemu") || !strings.Contains(err.Error(), device) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.CheckVirtType("qemu"); err != nil {
		t.Errorf("qemu: %v", err)
	}
	if err := f.CheckVirtType("lxc"); err == nil {
		t.Error("lxc is allowed")
	}
	f.KVM = KVM{Usable: true}
	if err := f.CheckVirtType("kvm"); err != nil {
		t.Errorf("kvm where it is usable: %v", err)
	}
}

func TestCPUFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpuinfo")
	text := "processor\t: 0\nmodel name\t: X\nflags\t\t: fpu vme vmx\nprocessor\t: 1\nflags\t\t: fpu\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := cpuFlags(path); err != nil || strings.Join(got, " ") != "fpu vme vmx" {
		t.Errorf("flags: %q, %v", got, err)
	}
}

func TestFirmware(t *testing.T) {
	packaged, local := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(packaged, "40-secure.json"): `{"mapping":{"executable":{"filename":"/secure.fd"},"nvram-template":{"filename":"/vars.fd"}},
			"targets":[{"architecture":"x86_64","machines":["pc-q35-*"]}],"features":["secure-boot","requires-smm"]}`,
		filepath.Join(packaged, "60-plain.json"): `{"mapping":{"executable":{"filename":"/plain.fd"},"nvram-template":{"filename":"/vars.fd"}},
			"targets":[{"architecture":"x86_64","machines":["pc-i440fx-*","pc-q35-*"]}],"features":[]}`,
		filepath.Join(packaged, "70-hidden.json"): "",
		filepath.Join(local, "10-late.json"): `{"mapping":{"executable":{"filename":"/late.fd"}},
			"targets":[{"architecture":"x86_64","machines":["pc-q35-*"]}],"features":[]}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := testFacts(t)
	var err error
	if f.Firmware, err = readFirmware([]string{packaged, local, filepath.Join(local, "none")}); err != nil {
		t.Fatal(err)
	}
	if len(f.Firmware) != 3 {
		t.Fatalf("firmware: %+v", f.Firmware)
	}
	for _, test := range []struct {
		options FirmwareOptions
		want    string
	}{
		{FirmwareOptions{Arch: archX86, Machine: "q35"}, "/plain.fd"},
		{FirmwareOptions{Arch: archX86, Machine: "q35", SecureBoot: true}, "/secure.fd"},
		{FirmwareOptions{Arch: archX86, Machine: "pc", SecureBoot: true}, ""},
		{FirmwareOptions{Arch: archX86, Machine: "none"}, ""},
		{FirmwareOptions{Arch: archARM64, Machine: "virt"}, ""},
	} {
		if fw, ok := f.FindFirmware(test.options); fw.Executable != test.want || ok != (test.want != "") {
			t.Errorf("%+v: %+v, %v", test.options, fw, ok)
		}
	}
	if err := os.WriteFile(filepath.Join(local, "20-bad.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readFirmware([]string{local}); err == nil || !strings.Contains(err.Error(), "20-bad.json") {
		t.Errorf("bad descriptor: %v", err)
	}
}

func FuzzParseFirmware(f *testing.F) {
	f.Add([]byte(`{"mapping":{"executable":{"filename":"/x"}},"targets":[{"architecture":"x86_64","machines":["[","*"]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		fw, err := parseFirmware(b)
		if err == nil && fw.fits("x86_64", "pc") && len(fw.Targets) == 0 {
			t.Errorf("%+v fits without targets", fw)
		}
	})
}
