package agent

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sequences are the things that a user can ask of a guest on one host, in an order in which one guest can live through
// them. Each is compared with the recording of that name: what is written of states, events, faults and migrations, and
// who is asked for more, in its order; or, where there is none, with what Nova's own node does as its source has it,
// notifications too. differs are the lines that Nova's own node writes and this one does not ("- "),
// or the other way round ("+ "), with the reason.
var sequences = []struct {
	name    string
	off     bool // the guest is switched off for it
	differs map[string]string
}{
	{name: "build"},
	{name: "pause"},
	{name: "unpause"},
	{name: "suspend"},
	{name: "resume"},
	{name: "stop"},
	{name: "start"},
	{name: "reboot_soft"},
	{name: "reboot_hard"},
	{name: "attach_interface"},
	{name: "detach_interface", off: true}, // the smallest guest does not let its cards go
	{name: "snapshot"},
	{name: "set_admin_password"},
	{name: "rescue"},
	{name: "unrescue"},
	{name: "rebuild"},
	{name: "resize"},
	{name: "confirm_resize", differs: map[string]string{
		"- cast delete_instance_info": "the schedulers would forget a guest that is still here until the next report",
	}},
	{name: "resize_back_and_revert", differs: map[string]string{
		"- call check_instance_shared_storage": "a host need not ask itself over the network whether it sees its own files",
	}},
	{name: "shelve"},
	{name: "unshelve"},
	{name: "delete"},
	{name: "build_two_nics", differs: cleanedAtOnce},
	{name: "build_swap_ephemeral", differs: cleanedAtOnce},
	{name: "boot_from_snapshot", differs: cleanedAtOnce},
	{name: "image_larger_than_flavor_is_refused", differs: map[string]string{
		"- save cleaned=true": "there were no files yet",
		"- save host=none":    "see below",
		"- save vm_state=error task_state=none launched_on=none":           "see below",
		"+ save vm_state=error task_state=none host=none launched_on=none": "one write says both; a build in error on no host is not to be seen in between as one that goes on",
	}},
	{name: "add_fixed_ip"},
	{name: "remove_fixed_ip"},
	{name: "backup"},
	{name: "shelve_and_stay"},
	{name: "start_from_shelf"},
	{name: "crash_dump"},
	{name: "soft_delete"},
	{name: "restore"},
	{name: "shelve_offload", differs: map[string]string{
		"- save cleaned=true": "see below",
		"- save vm_state=shelved_offloaded task_state=none if shelving|shelving_offloading":              "see below",
		"+ save vm_state=shelved_offloaded task_state=none cleaned=true if shelving|shelving_offloading": "one write says both",
	}},
	{name: "force_delete"},
}

// cleanedAtOnce: that a deleted instance's files are gone is written with the rest.
var cleanedAtOnce = map[string]string{
	"- save cleaned=true": "see below",
	"- save vm_state=deleted task_state=none power_state=0 terminated_at=now":              "see below",
	"+ save vm_state=deleted task_state=none power_state=0 cleaned=true terminated_at=now": "one write says both; between the two there is nothing to see",
}

func TestSequencesAreNovas(t *testing.T) {
	th := newTheatre(t)
	for _, c := range sequences {
		t.Run(c.name, func(t *testing.T) {
			want := goldenSequence(t, c.name)
			play := th.play
			if c.off {
				play = th.playOff
			}
			ours := play(t, c.name)
			if _, made := unrecorded[c.name]; !made { // nobody listened when it was recorded
				ours = slices.DeleteFunc(ours, func(l string) bool { return strings.HasPrefix(l, "told ") })
			}
			differences(t, want, ours, c.differs)
		})
	}
}

// goldenSequence is what the golden file has, which is what the recording has, if there is one.
func goldenSequence(t *testing.T, name string) []string {
	t.Helper()
	path := filepath.Join("testdata", "sequences", name+".txt")
	_, made := unrecorded[name]
	var recorded []string
	if !made {
		recorded = readRecording(t, name).sequence(t)
	}
	if *update && !made {
		if err := os.WriteFile(path, []byte(strings.Join(recorded, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(golden), "\n"), "\n")
	if !made && !slices.Equal(want, recorded) {
		t.Errorf("%s is not what the recording has; see -update", path)
	}
	return want
}

// differences fails the test for each line that only one of the two has, unless it is expected, and for each that is
// expected and is not there.
func differences(t *testing.T, novas, ours []string, expected map[string]string) {
	t.Helper()
	found := map[string]bool{}
	unexpected := false
	diff := lineDiff(novas, ours)
	for _, line := range diff {
		if line[0] != ' ' {
			found[line] = true
			unexpected = unexpected || expected[line] == ""
		}
	}
	if unexpected {
		t.Errorf("not as Nova's own node (-Nova +Bolide):\n%s", strings.Join(diff, "\n"))
	}
	for line := range expected {
		if !found[line] {
			t.Errorf("this difference is gone: %s", line)
		}
	}
}

// lineDiff is all lines in their order: "- " those of a alone, "+ " those of b alone, "  " the longest sequence that is
// in both.
func lineDiff(a, b []string) []string {
	common := make([][]int, len(a)+1) // how many lines a[i:] and b[j:] have in common
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}
