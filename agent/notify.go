package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"bolide/agent/network"
	"bolide/agent/notice"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// noticeLimit bounds the reading of what a notification tells and the operation at hand has not.
const noticeLimit = 10 * time.Second

// detail is what a notification tells beyond the instance.
type detail struct {
	fault  error          // why it failed
	ports  network.Info   // addresses to tell in the unversioned form; nil: none
	usage  map[string]any // fields of the unversioned form
	fields map[string]any // fields of the versioned form
}

// inform tells that the instance has come to a phase of what the news are about. It is done with what this task has
// read, and fails nobody.
func (t *task) inform(ctx context.Context, n news, p phase, d detail) {
	if !t.news.enabled() || n == (news{}) {
		return
	}
	if n.elevated {
		t = t.elevated()
	}
	s := t.subject(ctx, n)
	old, new := rpc.Notification{Event: p.of("compute.instance.", n.unversioned)}, rpc.Notification{Event: p.of("instance.", n.versioned)}
	old.Priority, new.Priority = rpc.PriorityInfo, rpc.PriorityInfo
	usage := maps.Clone(d.usage)
	if d.fault != nil {
		old.Priority, new.Priority = rpc.PriorityError, rpc.PriorityError
		if usage == nil {
			usage = map[string]any{}
		}
		maps.Copy(usage, notice.Fault(d.fault))
	}
	if old.Event != "" && len(t.news.unversioned) > 0 {
		s.ImageURL = t.imageURL(ctx)
		old.Payload = s.Usage(d.ports, usage)
	}
	new.Payload = s.Versioned(n.payload, d.fault, d.fields)
	t.news.tell(t.rc, old, new)
}

// elevated is the task in the same request with an administrator's rights.
func (t *task) elevated() *task {
	up := *t
	up.rc = t.rc.Elevated()
	return &up
}

// informExists tells how the instance used the current audit period so far, as Nova's node does before an operation
// changes what is paid for.
func (t *task) informExists(ctx context.Context) { t.informExistsWith(ctx, nil) }

// informExistsWith tells the same with other fields of the unversioned form.
func (t *task) informExistsWith(ctx context.Context, other map[string]any) {
	p, err := notice.Since(t.cfg.Default.InstanceUsageAuditPeriod, time.Now())
	if err != nil {
		t.log.WithError(err).Warn("usage not told")
		return
	}
	usage := p.Usage()
	maps.Copy(usage, other)
	t.inform(ctx, newsExists, phaseNone, detail{usage: usage, fields: p.Versioned()})
}

func (t *task) informUsage(ctx context.Context, p notice.Period) {
	t.inform(ctx, newsExists, phaseNone, detail{usage: p.Usage(), fields: p.Versioned()})
}

// informFailure tells that a method failed, whatever it was about.
func (t *task) informFailure(failure error) {
	if !t.news.enabled() || interrupted(failure) || slices.Contains(unannounced, t.op.method) {
		return
	}
	t.news.tell(t.rc,
		rpc.Notification{Event: t.op.method, Priority: rpc.PriorityError, Payload: notice.Call(failure, t.req.Args)},
		rpc.Notification{Event: "compute.exception", Priority: rpc.PriorityError, Payload: notice.Exception(failure)})
}

// unannounced are the methods of whose failure Nova's node tells nobody.
var unannounced = []string{"cache_images", "inject_network_info"}

// subject is the instance as the task has it now, with the parts that notifications tell.
func (t *task) subject(ctx context.Context, n news) notice.Subject {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noticeLimit)
	defer cancel()
	parts := []string{"flavor", "metadata", "system_metadata"}
	versioned := n.versioned != "" && len(t.news.versioned) > 0
	if versioned {
		parts = append(parts, "info_cache")
		if n.payload == notice.Create {
			parts = append(parts, "keypairs", "tags", "trusted_certs")
		}
		if n.payload == notice.Rebuild {
			parts = append(parts, "trusted_certs")
		}
	}
	s := notice.Subject{Context: t.rc, Instance: t.whole(ctx, parts), Name: t.inst.Name(t.cfg.Default.InstanceNameTemplate)}
	if versioned && (n.volumes || t.cfg.Notifications.BDMsInNotifications) {
		s.Volumes = t.volumesToTell(ctx)
	}
	return s
}

// whole is a copy of the instance that has the parts. Those that the task's has not are read once and remembered: at the
// end of a delete they can no longer be.
func (t *task) whole(ctx context.Context, parts []string) *nova.Instance {
	inst := nova.As[nova.Instance](t.inst.Object.Clone())
	var missing []string
	for _, p := range parts {
		if !inst.Has(p) {
			if _, read := t.told.read[p]; !read {
				missing = append(missing, p)
			}
		}
	}
	if len(missing) > 0 {
		fresh, err := t.cond.Instance(ctx, inst.UUID(), missing...)
		if err != nil {
			t.log.WithError(err).Debug("notification tells less than it could")
		} else {
			for _, p := range missing {
				t.told.read[p] = fresh.Raw(p)
			}
		}
	}
	for _, p := range parts {
		if v, read := t.told.read[p]; read && !inst.Has(p) {
			inst.Set(p, v)
		}
	}
	return inst
}

// toldParts is what a task has read for its notifications alone.
type toldParts struct {
	read    map[string]any
	volumes []*nova.BlockDeviceMapping // nil: not read yet
}

func newToldParts() *toldParts { return &toldParts{read: map[string]any{}} }

// volumesToTell are the instance's block devices, read once.
func (t *task) volumesToTell(ctx context.Context) []*nova.BlockDeviceMapping {
	if t.told.volumes != nil {
		return t.told.volumes
	}
	bdms, err := t.cond.BlockDevices(ctx, t.inst.UUID())
	if err != nil {
		t.log.WithError(err).Debug("notification tells no volumes")
		return nil
	}
	t.told.volumes = append([]*nova.BlockDeviceMapping{}, bdms...)
	return t.told.volumes
}

// imageURL is where the instance's image is.
func (t *task) imageURL(ctx context.Context) string { return t.urlOfImage(ctx, t.inst.ImageRef()) }

// urlOfImage is where the image is; where that is not known, the image's id.
func (t *task) urlOfImage(ctx context.Context, image string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noticeLimit)
	defer cancel()
	address, err := t.cloud.Images().URL(ctx, t.id, image)
	if err != nil {
		t.log.WithError(err).Debug("address of the image service is not known")
		return image
	}
	return address
}
