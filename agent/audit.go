package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"bolide/agent/audit"
	"bolide/agent/network"
	"bolide/netplug"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// Audit compares what Nova's records, the hypervisor, the instances' files, the host's taps and Placement tell of this
// host's guests, and mends the differences of the kinds in fix. It asks each of the five once, however many guests
// there are.
func (a *Agent) Audit(ctx context.Context, fix []audit.Kind) (audit.Report, error) {
	if !a.serving.Load() {
		return audit.Report{}, errors.New("the node does not serve yet")
	}
	began := time.Now()
	report := audit.Report{Host: a.cfg.Default.Host, Differences: []audit.Difference{}}
	s := &survey{Agent: a, view: audit.View{Host: a.cfg.Default.Host, Now: began}}
	if err := s.take(ctx); err != nil {
		return report, err
	}
	report.Guests = len(s.view.Guests)
	report.Differences = append(report.Differences, audit.Compare(s.view)...)
	report.Seconds = time.Since(began).Seconds()
	s.mend(ctx, report.Differences, fix)
	return report, nil
}

// survey is the reading for one audit.
type survey struct {
	*Agent
	view   audit.View
	others map[string]*nova.Instance // by UUID: instances that are not this host's, or no more
}

// take reads everything. What is being done is read first: what begins later can make no difference seem older.
func (s *survey) take(ctx context.Context) error {
	s.view.Busy = s.queues.all()
	for _, read := range []func(context.Context) error{s.readHost, s.readRecords, s.readOthers} {
		if err := read(ctx); err != nil {
			return err
		}
	}
	for uuid := range s.queues.all() {
		s.view.Busy[uuid] = true
	}
	return nil
}

// instanceFiles is what directories of instances are called, here and where disks are set aside or removed.
var instanceFiles = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(_resize|_del)?$`)

// readHost reads what is on the host.
func (s *survey) readHost(ctx context.Context) error {
	guests, err := s.hypervisor.Guests(ctx)
	if err != nil {
		return err
	}
	for _, g := range guests {
		s.view.Guests = append(s.view.Guests, audit.Guest{UUID: g.UUID, Name: g.Name, Power: powerState(g.State).String()})
	}
	files, err := os.ReadDir(s.cfg.Default.InstancesPath)
	if err != nil {
		return fmt.Errorf("list the instances' files: %w", err)
	}
	for _, f := range files {
		if f.IsDir() && instanceFiles.MatchString(f.Name()) {
			s.view.Files = append(s.view.Files, f.Name())
		}
	}
	s.view.Taps, err = netplug.Taps()
	return err
}

// readRecords reads what the records place here and what Placement counts here.
func (s *survey) readRecords(ctx context.Context) error {
	cond := s.freshConductor()
	instances, err := cond.InstancesByHost(ctx, s.cfg.Default.Host, "info_cache")
	if err != nil {
		return fmt.Errorf("list the instances of this host: %w", err)
	}
	s.view.Instances, s.view.Ports = map[string]audit.Instance{}, map[string]bool{}
	for _, i := range instances {
		s.view.Instances[i.UUID()] = audit.Instance{
			VMState: string(i.VMState()), TaskState: string(i.TaskState()), Power: i.PowerState().String(),
			NoDisks: i.ImageRef() == "", Updated: i.UpdatedAt(),
		}
		s.addPorts(i)
	}
	moves, err := cond.MigrationsInProgressAndError(ctx, s.cfg.Default.Host, s.resources.NodeName())
	if err != nil {
		return fmt.Errorf("list the migrations of this host: %w", err)
	}
	s.view.Moves, s.view.Moving = map[string]bool{}, map[string]bool{}
	for _, m := range moves {
		s.view.Moves[m.Str("uuid")], s.view.Moving[m.Str("instance_uuid")] = true, true
	}
	s.view.Consumers, err = s.resources.Consumers(ctx)
	return err
}

// addPorts adds the taps that an instance has or may be given.
func (s *survey) addPorts(i *nova.Instance) {
	vifs, err := network.ParseInfo(i.InfoCache().NetworkInfo())
	if err != nil {
		s.log.WithError(err).WithField("instance", i.UUID()).Warn("info cache cannot be read; its ports are not known")
	}
	for _, v := range vifs {
		s.view.Ports[netplug.DeviceName(v.ID)] = true
	}
}

// readOthers finds out whose all that is which is not of this host's instances.
func (s *survey) readOthers(ctx context.Context) error {
	wanted := map[string]bool{}
	want := func(uuid string) {
		if _, ours := s.view.Instances[uuid]; !ours && !s.view.Moves[uuid] {
			wanted[uuid] = true
		}
	}
	for _, g := range s.view.Guests {
		want(g.UUID)
	}
	for _, name := range s.view.Files {
		uuid, _, _ := strings.Cut(name, "_")
		want(uuid)
	}
	for _, c := range s.view.Consumers {
		want(c)
	}
	s.view.Others, s.others = map[string]audit.Other{}, map[string]*nova.Instance{}
	if len(wanted) == 0 {
		return nil
	}
	instances, err := s.conductor.With(archived()).InstancesByFilters(ctx,
		map[string]any{"uuid": slices.Sorted(maps.Keys(wanted))}, "system_metadata", "info_cache")
	if err != nil {
		return fmt.Errorf("look for the instances that something here belongs to: %w", err)
	}
	for _, i := range instances {
		s.others[i.UUID()] = i
		s.view.Others[i.UUID()] = audit.Other{Host: i.Host(), Deleted: i.Bool("deleted")}
	}
	return nil
}

// mend mends what can be mended of the kinds, and notes in each difference what came of it.
func (s *survey) mend(ctx context.Context, differences []audit.Difference, kinds []audit.Kind) {
	for _, kind := range audit.Fixable {
		for n := range differences {
			d := &differences[n]
			if d.Kind != kind || !d.Fixable || !slices.Contains(kinds, kind) {
				continue
			}
			log := s.log.WithField("kind", string(kind)).WithField("instance", d.Instance).WithField("object", d.Object)
			if err := s.mendOne(ctx, *d); err != nil {
				d.Outcome = err.Error()
				log.WithError(err).Warn("difference found by an audit not mended")
				continue
			}
			d.Outcome = audit.Mended
			log.Info("difference found by an audit mended")
		}
	}
}

// mendOne mends one difference, in the instance's turn: by then it may have passed.
func (s *survey) mendOne(ctx context.Context, d audit.Difference) error {
	if d.Kind == audit.LeftTap {
		return netplug.RemoveTap(d.Object)
	}
	return s.inTurn(ctx, "mend "+string(d.Kind), d.Instance, func(ctx context.Context, t *task) error {
		switch d.Kind {
		case audit.DeletedGuest:
			return t.reap(ctx, s.others[d.Instance])
		case audit.LeftFiles:
			return t.removeLeft(ctx)
		case audit.LeftAllocation:
			return t.releaseLeft(ctx)
		case audit.PowerState:
			return t.recordPower(ctx)
		}
		return fmt.Errorf("differences of kind %s cannot be mended", d.Kind)
	})
}

// removeLeft removes the files of a deleted instance without a guest.
func (t *task) removeLeft(ctx context.Context) error {
	if _, err := t.hypervisor.Guest(ctx, t.inst.UUID()); err == nil {
		return errors.New("its guest is still here: mend that first")
	}
	return t.removeFiles(ctx)
}

// releaseLeft takes this host out of the allocation of an instance that is not here.
func (t *task) releaseLeft(ctx context.Context) error {
	err := t.load(ctx)
	switch {
	case err == nil && t.inst.Host() == t.cfg.Default.Host:
		return errors.New("it is here now")
	case err != nil && !nova.Is(err, "InstanceNotFound"):
		return err
	}
	return t.resources.LeaveAllocation(ctx, identity(rpc.AdminContext()), t.inst.UUID())
}

// recordPower records the power state that the guest has.
func (t *task) recordPower(ctx context.Context) error {
	if err := t.load(ctx); err != nil {
		return err
	}
	if t.inst.TaskState() != nova.NoTask || t.inst.Host() != t.cfg.Default.Host {
		return errors.New("something is being done to it")
	}
	power, err := t.powerNow(ctx)
	if err != nil {
		return err
	}
	return t.apply(ctx, remedyFor(t.inst.VMState(), power), power)
}
