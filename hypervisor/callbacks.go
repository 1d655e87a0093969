package hypervisor

import (
	"fmt"
	"time"

	"libvirt.org/go/libvirt"
)

// register asks libvirt for the events of all guests. A libvirt too old, or a
// driver too simple, for one kind goes without it.
func (h *Host) register(l *link) error {
	conn := l.conn
	for _, register := range []func() (int, error){
		func() (int, error) { return conn.DomainEventLifecycleRegister(nil, h.onLifecycle) },
		func() (int, error) { return conn.DomainEventRebootRegister(nil, h.onReboot) },
		func() (int, error) { return conn.DomainEventDeviceRemovedRegister(nil, h.onDeviceRemoved) },
		func() (int, error) { return conn.DomainEventDeviceRemovalFailedRegister(nil, h.onDeviceRemovalFailed) },
		func() (int, error) { return conn.DomainEventBlockJob2Register(nil, h.onBlockJob) },
		func() (int, error) { return conn.DomainEventJobCompletedRegister(nil, h.onJobCompleted) },
		func() (int, error) { return conn.DomainEventMigrationIterationRegister(nil, h.onIteration) },
		func() (int, error) { return conn.DomainEventAgentLifecycleRegister(nil, h.onAgent) },
	} {
		id, err := register()
		if isCode(err, libvirt.ERR_NO_SUPPORT, libvirt.ERR_INVALID_ARG) {
			continue
		}
		if err != nil {
			return fmt.Errorf("register for events: %w", err)
		}
		l.callbacks = append(l.callbacks, id)
	}
	return nil
}

// guestEvent publishes an event of a guest. It runs in libvirt's event loop: nothing
// here may block or call libvirtd. A domain's name and UUID are known without.
func (h *Host) guestEvent(d *libvirt.Domain, e Event) {
	uuid, err := d.GetUUIDString()
	if err != nil {
		h.log.WithError(err).Error("libvirt event without a guest")
		return
	}
	e.UUID, e.Time = uuid, time.Now()
	e.Name, _ = d.GetName() // the UUID is enough
	h.events.publish(e)
}

func (h *Host) onLifecycle(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventLifecycle) {
	kind, ok := lifecycles[e.Event]
	if !ok {
		return // of a newer libvirt
	}
	h.guestEvent(d, Event{Kind: kind.kind, Detail: word(kind.details, e.Detail)})
}

func (h *Host) onReboot(_ *libvirt.Connect, d *libvirt.Domain) {
	h.guestEvent(d, Event{Kind: EventRebooted})
}

func (h *Host) onDeviceRemoved(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventDeviceRemoved) {
	h.guestEvent(d, Event{Kind: EventDeviceRemoved, Device: e.DevAlias})
}

func (h *Host) onDeviceRemovalFailed(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventDeviceRemovalFailed) {
	h.guestEvent(d, Event{Kind: EventDeviceRemovalFailed, Device: e.DevAlias})
}

func (h *Host) onBlockJob(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventBlockJob) {
	h.guestEvent(d, Event{Kind: EventBlockJob, Device: e.Disk, Detail: word(blockJobStates, int(e.Status))})
}

func (h *Host) onJobCompleted(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventJobCompleted) {
	job := jobOf(&e.Info)
	h.guestEvent(d, Event{Kind: EventJobCompleted, Detail: string(job.State), Job: &job})
}

func (h *Host) onIteration(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventMigrationIteration) {
	h.guestEvent(d, Event{Kind: EventMigrationIteration, Iteration: e.Iteration})
}

func (h *Host) onAgent(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventAgentLifecycle) {
	kind := EventAgentDown
	if e.State == libvirt.CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED {
		kind = EventAgentUp
	}
	h.guestEvent(d, Event{Kind: kind})
}

// lifecycle is how libvirt numbers the details of one lifecycle event: from zero,
// in this order (virDomainEvent…DetailType).
type lifecycle struct {
	kind    Kind
	details []string
}

var lifecycles = map[libvirt.DomainEventType]lifecycle{
	libvirt.DOMAIN_EVENT_DEFINED:   {EventDefined, []string{"added", "updated", "renamed", "from snapshot"}},
	libvirt.DOMAIN_EVENT_UNDEFINED: {EventUndefined, []string{"removed", "renamed"}},
	libvirt.DOMAIN_EVENT_STARTED: {EventStarted, []string{"booted", "migrated", "restored", "from snapshot",
		"wakeup", "recreated"}},
	libvirt.DOMAIN_EVENT_SUSPENDED: {EventSuspended, []string{"paused", "migrated", "I/O error", "watchdog",
		"restored", "from snapshot", "API error", "post-copy", "post-copy failed", "guest shutdown"}},
	libvirt.DOMAIN_EVENT_RESUMED: {EventResumed, []string{"unpaused", "migrated", "from snapshot", "post-copy",
		"post-copy failed"}},
	libvirt.DOMAIN_EVENT_STOPPED: {EventStopped, []string{"shutdown", "destroyed", "crashed", "migrated", "saved",
		"failed", "from snapshot", "recreated"}},
	libvirt.DOMAIN_EVENT_SHUTDOWN:    {EventShutdown, []string{"finished", "guest", "host"}},
	libvirt.DOMAIN_EVENT_PMSUSPENDED: {EventPMSuspended, []string{"memory", "disk"}},
	libvirt.DOMAIN_EVENT_CRASHED:     {EventCrashed, []string{"panicked", "crashloaded"}},
}

// blockJobStates is virConnectDomainEventBlockJobStatus.
var blockJobStates = []string{"completed", "failed", "cancelled", "ready"}

// word names a number of an enumeration; a number it does not know stays one.
func word(names []string, n int) string {
	if n >= 0 && n < len(names) {
		return names[n]
	}
	return fmt.Sprint(n)
}
