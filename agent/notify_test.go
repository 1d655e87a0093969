package agent

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"bolide/agent/notice"
	"bolide/rpc/nova"
)

// listen makes the node tell its news to a log, in the forms that the options ask for.
func (n *node) listen(t *testing.T, format string) *test.Hook {
	t.Helper()
	logger, hook := test.NewNullLogger()
	n.tell(t, format, logger)
	return hook
}

func (n *node) tell(t *testing.T, format string, logger *logrus.Logger) {
	t.Helper()
	cfg := *n.cfg
	cfg.Notifier.Driver, cfg.Notifications.NotificationFormat = []string{"log"}, format
	news, err := newAnnouncer(&cfg, n.link, logrus.NewEntry(logger))
	if err != nil {
		t.Fatal(err)
	}
	n.Agent.news = news
}

// told are the events that were told, each with the instance's states.
func told(t *testing.T, hook *test.Hook) []string {
	t.Helper()
	var out []string
	for _, e := range hook.AllEntries() {
		var p struct {
			State       string `json:"state"`
			Description string `json:"state_description"`
			Data        struct {
				State *string `json:"state"`
				Task  *string `json:"task_state"`
			} `json:"nova_object.data"`
		}
		if err := json.Unmarshal([]byte(e.Data["payload"].(string)), &p); err != nil {
			t.Fatal(err)
		}
		state, task := p.State, p.Description
		if p.Data.State != nil {
			state, task = *p.Data.State, orEmpty(p.Data.Task)
		}
		if task != "" {
			state += "/" + task
		}
		out = append(out, strings.TrimSpace(e.Data["publisher"].(string)+" "+e.Data["event"].(string)+" "+state))
	}
	return out
}

func TestOperationIsToldInTheFormsAskedFor(t *testing.T) {
	n := newNode(t, nil)
	n.boot(t)
	old := []string{"compute.here compute.instance.pause.start active/pausing", "compute.here compute.instance.pause.end paused"}
	new := []string{"nova-compute:here instance.pause.start active/pausing", "nova-compute:here instance.pause.end paused"}
	for _, c := range []struct {
		format string
		want   []string
	}{
		{"unversioned", old}, {"versioned", new}, {"both", []string{old[0], new[0], old[1], new[1]}},
	} {
		t.Run(c.format, func(t *testing.T) {
			hook := n.listen(t, c.format)
			if _, err := n.ask(t, opPause, nova.TaskPausing, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, told(t, hook)); diff != "" {
				t.Error(diff)
			}
			if _, err := n.ask(t, opUnpause, nova.TaskUnpausing, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestNothingIsReadWhereNobodyListens(t *testing.T) {
	n := newNode(t, nil)
	n.boot(t)
	bare := n.conductor.instance.Clone()
	for _, part := range []string{"flavor", "metadata", "system_metadata", "info_cache"} {
		bare.Unset(part)
	}
	for _, c := range []struct {
		format string
		listen bool
		reads  int
	}{{"both", false, 0}, {"both", true, 1}} { // what start and end tell is read once
		if c.listen {
			n.listen(t, c.format)
		}
		before := len(n.conductor.lines)
		if _, err := n.ask(t, opPause, nova.TaskPausing, map[string]any{"instance": bare}); err != nil {
			t.Fatal(err)
		}
		reads := 0
		for _, line := range n.conductor.lines[before:] {
			if line == "Instance.get_by_uuid" {
				reads++
			}
		}
		if reads != c.reads {
			t.Errorf("listened to: %t: the record is read %d times", c.listen, reads)
		}
		if _, err := n.ask(t, opUnpause, nova.TaskUnpausing, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFailureIsTold(t *testing.T) {
	n := newNode(t, nil)
	n.boot(t)
	hook := n.listen(t, "both")
	if _, err := n.ask(t, opSetAdminPassword, nova.TaskUpdatingPassword, map[string]any{"new_pass": "secret"}); err == nil {
		t.Fatal("a guest without an agent has a new password")
	}
	want := []string{"compute.here set_admin_password", "nova-compute:here compute.exception"}
	if diff := cmp.Diff(want, told(t, hook)); diff != "" {
		t.Error(diff)
	}
	for _, e := range hook.AllEntries() {
		if e.Level != logrus.ErrorLevel || strings.Contains(e.Data["payload"].(string), "secret") {
			t.Errorf("%s: %s", e.Level, e.Data["payload"])
		}
	}
	hook.Reset()
	failure := errors.New("broken")
	o := n.ownTask("cache_images", "u", nil)
	o.informFailure(failure)
	o.op.method = "pause_instance"
	o.informFailure(errDeleted)
	if got := told(t, hook); len(got) != 0 {
		t.Errorf("told %v", got)
	}
}

func TestUsageAudit(t *testing.T) {
	n := newNode(t, map[string]string{"DEFAULT.instance_usage_audit_period": "hour"})
	n.conductor.instance = n.newInstance("11111111-2222-3333-4444-555555555555")
	hook := n.listen(t, "both")
	n.conductor.answers["InstanceList._get_active_by_window_joined"] = n.profile.NewList("InstanceList", n.conductor.instance)
	if err := n.instanceUsageAudit(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	want := []string{"compute.here compute.instance.exists active", "nova-compute:here instance.exists active"}
	if diff := cmp.Diff(want, told(t, hook)); diff != "" {
		t.Error(diff)
	}
	steps := slices.DeleteFunc(slices.Clone(n.conductor.lines), func(l string) bool { return !strings.HasPrefix(l, "TaskLog") })
	if diff := cmp.Diff([]string{"TaskLog.get", "TaskLog.begin_task", "TaskLog.end_task"}, steps); diff != "" {
		t.Error(diff)
	}
	hour := time.Now().UTC().Truncate(time.Hour)
	var p map[string]any
	if err := json.Unmarshal([]byte(hook.AllEntries()[0].Data["payload"].(string)), &p); err != nil {
		t.Fatal(err)
	}
	if p["audit_period_ending"] != hour.Format(time.DateTime) && p["audit_period_ending"] != hour.Add(-time.Hour).Format(time.DateTime) {
		t.Errorf("the period ends at %v", p["audit_period_ending"])
	}

	hook.Reset()
	n.conductor.answers["TaskLog.get"] = n.profile.New("TaskLog")
	if err := n.instanceUsageAudit(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if got := told(t, hook); len(got) != 0 {
		t.Errorf("a period is told twice: %v", got)
	}
}

func TestNewsHaveAForm(t *testing.T) {
	for _, make := range operations {
		op := make(nil)
		if op.news != (news{}) && (op.news.payload == "" || op.news.unversioned == "" && op.news.versioned == "") {
			t.Errorf("%s: %+v", op.method, op.news)
		}
	}
	if got := phaseNone.of("compute.instance.", newsExists.unversioned); got != "compute.instance.exists" || newsExists.payload != notice.Exists {
		t.Errorf("exists is told as %s", got)
	}
}
