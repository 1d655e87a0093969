package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"syscall"

	"bolide/agent/cloud"
	"bolide/hypervisor"
	"bolide/imagecache"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// faultLimit is how long a fault's text may be, in bytes: it is read in tables.
const faultLimit = 200

// faultOf is what the user may read of a failure. Exceptions of Nova's keep their class and text, which callers know.
// Everything else becomes one that names the step, what did not do its part, and what to do next; the texts of such
// errors themselves are for the operator, since they show the inside of the host.
func (t *task) faultOf(failure error) error {
	if nova.ClassOf(failure) != "" {
		return failure
	}
	text := fmt.Sprintf("%s failed on %s%s: %s; %s", t.op.verb(), t.cfg.Default.Host, stepOf(failure), causeOf(failure), t.advice())
	return nova.NewErrorText("NovaException", shorten(text, faultLimit)).Because(failure)
}

// verb is what the user asked for.
func (o operation) verb() string {
	verb := strings.TrimSuffix(o.method, "_instance")
	switch verb {
	case "build_and_run":
		verb = "build"
	case "add_fixed_ip_to", "remove_fixed_ip_from":
		verb = verb[:strings.LastIndexByte(verb, '_')]
	}
	return strings.ReplaceAll(verb, "_", " ")
}

func stepOf(failure error) string {
	var s *stepError
	if errors.As(failure, &s) {
		return fmt.Sprintf(" at step %q", s.Step)
	}
	return ""
}

// serviceNames are the names by which operators know the services.
var serviceNames = map[string]string{
	"identity": "Keystone", "image": "Glance", "network": "Neutron", "placement": "Placement", "volume": "Cinder", "block-storage": "Cinder", "key": "Barbican",
}

// causeOf says which part did not do what was asked of it.
func causeOf(failure error) string {
	var service *cloud.Error
	var libvirt *hypervisor.Error
	var space *imagecache.ErrNoSpace
	switch {
	case errors.Is(failure, errShutdown):
		return "the compute service was stopped"
	case errors.Is(failure, syscall.EMFILE), errors.Is(failure, syscall.ENFILE): // whatever could not be reached for it
		return "the compute service has no file descriptors left"
	case errors.As(failure, &service):
		return serviceCause(service)
	case errors.Is(failure, errNoUser):
		return "only the guest's user can open its TPM"
	case errors.Is(failure, rpc.ErrTimeout):
		return "nova-conductor did not answer"
	case errors.Is(failure, hypervisor.ErrUnavailable), errors.Is(failure, hypervisor.ErrTimeout):
		return "libvirt did not answer"
	case errors.As(failure, &libvirt):
		return "libvirt refused to " + libvirt.Op
	case errors.As(failure, &space), errors.Is(failure, syscall.ENOSPC), errors.Is(failure, syscall.EDQUOT):
		return "the host's disk is full"
	case errors.Is(failure, syscall.EROFS):
		return "the host's disk is read-only"
	case errors.Is(failure, fs.ErrNotExist):
		return "a file of the instance is missing"
	case errors.Is(failure, context.DeadlineExceeded):
		return "it took too long"
	}
	return "an unexpected error"
}

func serviceCause(e *cloud.Error) string {
	name := serviceNames[e.Service]
	if name == "" {
		name = e.Service
	}
	if e.Status == 0 {
		return name + " did not answer"
	}
	return fmt.Sprintf("%s answered %d %s", name, e.Status, http.StatusText(e.Status))
}

// advice is what to do next.
func (t *task) advice() string {
	return "try again, or give " + t.rc.RequestID() + " to the operator"
}

// shorten cuts the text to limit bytes at a word.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const dots = " …"
	cut := text[:limit-len(dots)]
	if n := strings.LastIndexByte(cut, ' '); n > limit/2 {
		cut = cut[:n]
	}
	return strings.ToValidUTF8(cut, "") + dots
}
