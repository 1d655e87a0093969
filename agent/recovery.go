package agent

import (
	"context"
	"fmt"
	"path/filepath"

	"bolide/agent/journal"
	"bolide/agent/recovery"
	"bolide/rpc/nova"
)

// recoverAtOnce is how many instances are mended at a time: after the host's own start that is every guest there is.
const recoverAtOnce = 8

// recover looks after the guests that the records place on this host: what was cut short when this process, or the
// one before it, ended is finished or taken back. It only reads, once for all of them, and puts the work into the
// instances' queues: requests are served meanwhile and wait for their own instance alone, and one broken guest keeps
// none of the others waiting. Guests that need nothing are not touched, whoever made them.
func (a *Agent) recover(ctx context.Context) error {
	pages, err := a.openJournal()
	if err != nil {
		return err
	}
	if a.absence, err = causeOfAbsence(a.cfg.Default.StatePath, bootIDFile); err != nil {
		a.log.WithError(err).Warn("it is not known whether the host has restarted")
	}
	instances, err := a.conductor.InstancesByHost(ctx, a.cfg.Default.Host, "info_cache", "metadata", "numa_topology", "system_metadata", "flavor")
	if err != nil {
		return fmt.Errorf("list the instances of this host: %w", err)
	}
	if err := a.checkTPMs(instances); err != nil {
		return err
	}
	guests, err := a.hypervisor.Guests(ctx)
	if err != nil {
		return err
	}
	a.powers.replace(guests)
	evacuated, err := a.evacuated(ctx)
	if err != nil {
		return err
	}
	patients := a.diagnose(instances, pages, evacuated)
	for _, p := range patients {
		a.mend(p)
	}
	a.endEvacuations(evacuated)
	a.log.WithField("instances", len(instances)).WithField("interrupted", interruptedAmong(patients)).Info("instances on this host")
	a.tellSchedulers(ctx, instances)
	return nil
}

// openJournal reads what the process before was doing, by instance.
func (a *Agent) openJournal() (map[string]pages, error) {
	j, left, err := journal.Open(filepath.Join(a.cfg.Default.StatePath, "bolide", "journal"), a.log)
	if err != nil {
		return nil, err
	}
	a.journal = j
	byInstance := map[string]pages{}
	for _, e := range left {
		uuid := e.Record().Instance
		byInstance[uuid] = append(byInstance[uuid], e)
	}
	return byInstance, nil
}

// patient is an instance that may need mending.
type patient struct {
	uuid   string
	inst   *nova.Instance  // as the list had it; nil: only the journal knows of it
	remedy recovery.Remedy // by the list
	pages  pages           // of operations that were cut short
}

// interrupted reports whether something was cut short, rather than that ports are to be looked after.
func (p patient) interrupted() bool { return p.remedy != recovery.Leave || len(p.pages) > 0 }

func interruptedAmong(patients []patient) int {
	n := 0
	for _, p := range patients {
		if p.interrupted() {
			n++
		}
	}
	return n
}

// diagnose finds out who needs mending, without asking anybody. Instances that were evacuated are another host's.
func (a *Agent) diagnose(instances []*nova.Instance, pages map[string]pages, evacuated map[string]*nova.Migration) []patient {
	var patients []patient
	listed := map[string]bool{}
	for _, i := range instances {
		uuid := i.UUID()
		listed[uuid] = true
		if evacuated[uuid] != nil {
			continue
		}
		p := patient{uuid: uuid, inst: i, pages: pages[uuid], remedy: recovery.For(finding(i, a.powers.of(uuid)))}
		if p.interrupted() || a.powers.of(uuid) == nova.PowerRunning {
			patients = append(patients, p)
		}
	}
	for uuid, left := range pages {
		if !listed[uuid] {
			patients = append(patients, patient{uuid: uuid, pages: left, remedy: recovery.Leave})
		}
	}
	return patients
}

func finding(i *nova.Instance, power nova.PowerState) recovery.Finding {
	return recovery.Finding{VM: i.VMState(), Task: i.TaskState(), Power: power, Recorded: i.PowerState()}
}
