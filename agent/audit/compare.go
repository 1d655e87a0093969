package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// stuckAfter is how long a task may stand without anybody at work on it: its request may have yet to come.
const stuckAfter = 10 * time.Minute

// guests looks for guests that should not be here.
func guests(v View) []Difference {
	var found []Difference
	for _, g := range v.Guests {
		if _, ours := v.Instances[g.UUID]; ours || v.atWork(g.UUID) {
			continue
		}
		d := Difference{Instance: g.UUID, Object: g.Name}
		switch other, known := v.Others[g.UUID]; {
		case !known:
			d.Kind, d.Text = UnknownGuest, fmt.Sprintf("Nova knows nothing of this guest, which is %s", g.Power)
			d.Mend = "virsh dominfo " + g.Name + " (Bolide never removes it)"
		case other.Deleted:
			d.Kind, d.Text = DeletedGuest, fmt.Sprintf("its instance is deleted, the guest is %s", g.Power)
			d.Mend, d.Fixable = fix(DeletedGuest), true
		default:
			d.Kind, d.Text = GuestElsewhere, fmt.Sprintf("its instance is on host %q, the guest here is %s", other.Host, g.Power)
			d.Mend = "virsh destroy " + g.Name + "; virsh undefine " + g.Name + ", once it is certain that it runs there"
		}
		found = append(found, d)
	}
	return found
}

// guestless are the states in which an instance on a host has no guest, or may have none.
var guestless = []string{"building", "error", "deleted", "soft-delete", "shelved", "shelved_offloaded"}

// instances looks at what the records place here.
func instances(v View) []Difference {
	power := map[string]string{}
	for _, g := range v.Guests {
		power[g.UUID] = g.Power
	}
	var found []Difference
	for uuid, i := range v.Instances {
		if v.atWork(uuid) {
			continue
		}
		if i.TaskState != "" {
			if v.Now.Sub(i.Updated) > stuckAfter {
				found = append(found, Difference{Kind: StuckTask, Instance: uuid,
					Text: fmt.Sprintf("task %s, on which nobody is at work", i.TaskState),
					Mend: "openstack server set --state active " + uuid + ", or delete it"})
			}
			continue
		}
		now, here := power[uuid]
		switch {
		case !here && !slices.Contains(guestless, i.VMState):
			found = append(found, Difference{Kind: MissingGuest, Instance: uuid,
				Text: fmt.Sprintf("it is %s, and the hypervisor has no guest of it", i.VMState),
				Mend: "openstack server reboot --hard " + uuid})
		case here && now != i.Power && i.VMState != "building":
			found = append(found, Difference{Kind: PowerState, Instance: uuid,
				Text: fmt.Sprintf("recorded as %s, the guest is %s", i.Power, now), Mend: fix(PowerState), Fixable: true})
		}
	}
	return found
}

// files looks at the instances' directories.
func files(v View) []Difference {
	var found []Difference
	there := map[string]bool{}
	for _, name := range v.Files {
		uuid, rest := name[:uuidLength], name[uuidLength:]
		there[uuid] = there[uuid] || rest == ""
		if _, ours := v.Instances[uuid]; ours || v.atWork(uuid) {
			continue
		}
		other, known := v.Others[uuid]
		switch {
		case !known:
			found = append(found, Difference{Kind: UnknownFiles, Instance: uuid, Object: name,
				Text: "Nova knows no instance of these files", Mend: "look at them (Bolide never removes them)"})
		case other.Deleted && other.Host == v.Host:
			found = append(found, Difference{Kind: LeftFiles, Instance: uuid, Object: name,
				Text: "files of a deleted instance", Mend: fix(LeftFiles), Fixable: true})
		} // those of instances on other hosts are where storage is shared
	}
	for uuid, i := range v.Instances {
		if there[uuid] || i.NoDisks || v.atWork(uuid) || i.TaskState != "" || slices.Contains(guestless, i.VMState) && i.VMState != "shelved" {
			continue
		}
		found = append(found, Difference{Kind: MissingFiles, Instance: uuid,
			Text: fmt.Sprintf("it is %s, and its directory is not there", i.VMState),
			Mend: "restore the directory, or openstack server rebuild " + uuid})
	}
	return found
}

// uuidLength is that of a UUID as text.
const uuidLength = 36

// taps looks for links of ports that nobody has. While an operation is at work it may be making one.
func taps(v View) []Difference {
	if len(v.Busy) > 0 || len(v.Moves) > 0 {
		return nil
	}
	var found []Difference
	for _, name := range v.Taps {
		if !v.Ports[name] {
			found = append(found, Difference{Kind: LeftTap, Object: name,
				Text: fmt.Sprintf("no instance here has the port %s…", strings.TrimPrefix(name, "tap")), Mend: fix(LeftTap), Fixable: true})
		}
	}
	return found
}

// countless are the states in which an instance on a host takes nothing of it.
var countless = []string{"deleted", "shelved_offloaded"}

// allocations compares Placement with the records.
func allocations(v View) []Difference {
	var found []Difference
	counted := map[string]bool{}
	for _, uuid := range v.Consumers {
		counted[uuid] = true
		if _, ours := v.Instances[uuid]; ours || v.Moves[uuid] || v.atWork(uuid) {
			continue
		}
		d := Difference{Kind: LeftAllocation, Instance: uuid}
		switch other, known := v.Others[uuid]; {
		case !known:
			d.Text = "Placement counts for it here, and Nova knows no instance or migration of that name"
			d.Mend = "openstack resource provider allocation show " + uuid
		case other.Deleted:
			d.Text, d.Mend, d.Fixable = "Placement counts for it here, and it is deleted", fix(LeftAllocation), true
		case other.Host == "":
			continue // it may be on its way here
		default:
			d.Text = fmt.Sprintf("Placement counts for it here, and it is on host %q", other.Host)
			d.Mend, d.Fixable = fix(LeftAllocation), true
		}
		found = append(found, d)
	}
	for uuid, i := range v.Instances {
		if counted[uuid] || v.atWork(uuid) || i.TaskState != "" || slices.Contains(countless, i.VMState) {
			continue
		}
		found = append(found, Difference{Kind: MissingAllocation, Instance: uuid,
			Text: "Placement counts nothing for it here", Mend: "nova-manage placement heal_allocations --instance " + uuid})
	}
	return found
}
