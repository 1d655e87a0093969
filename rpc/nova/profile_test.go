package nova

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestManifestsAsRecorded(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range recordings(t) {
		var class string
		if raw := r.Message.Args["objname"]; raw == nil || json.Unmarshal(raw, &class) != nil || seen[class] {
			continue
		}
		seen[class] = true
		sameJSON(t, class, r.Message.Args["object_versions"], Zed().Manifest(class))
	}
	if !seen["BlockDeviceMappingList"] || !seen["InstanceList"] {
		t.Errorf("the largest manifests are not recorded: %v", seen)
	}
}

func TestVersionsAsRecorded(t *testing.T) {
	zed := Zed()
	var check func(v any)
	check = func(v any) {
		switch v := v.(type) {
		case *Object:
			if want := zed.Version(v.Name()); want != "" && want != v.Version() {
				t.Errorf("%s is %s, recorded %s", v.Name(), want, v.Version())
			}
			for _, f := range v.Fields() {
				check(v.Raw(f))
			}
		case []any:
			for _, item := range v {
				check(item)
			}
		}
	}
	for _, r := range recordings(t) {
		for _, raw := range r.Message.Args {
			v, err := DecodeValue(raw)
			if err != nil {
				t.Fatal(err)
			}
			check(v)
		}
	}
}

func TestReleases(t *testing.T) {
	want := []string{"zed", "2023.1", "2024.1", "2025.1", "2025.2", "2026.1"}
	if diff := gocmp.Diff(want, Releases()); diff != "" {
		t.Fatal(diff)
	}
	instance := map[string]string{"zed": "2.7", "2023.1": "2.7", "2024.1": "2.8", "2025.1": "2.8", "2025.2": "2.8", "2026.1": "2.8"}
	last := 0
	for _, name := range want {
		p, err := ProfileOf(strings.ToUpper(name))
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != name || p.ServiceVersion <= last || p.OldestService > p.ServiceVersion {
			t.Errorf("%s: %+v", name, p)
		}
		last = p.ServiceVersion
		if got := p.Manifest("InstanceList")["Instance"]; got != instance[name] {
			t.Errorf("%s has Instance %s, want %s", name, got, instance[name])
		}
	}
	if Zed().Version("Instance") != "2.7" {
		t.Error("a later release changed Zed")
	}
	if _, err := ProfileOf("yoga"); err == nil || !strings.Contains(err.Error(), "2026.1") {
		t.Errorf("unknown release: %v", err)
	}
}

func TestReferencesNameKnownClasses(t *testing.T) {
	for class, refs := range references {
		for _, ref := range append(slices.Clone(refs), class) {
			if zedVersions[ref] == "" {
				t.Errorf("%s refers to the unknown %s", class, ref)
			}
		}
	}
}

func TestUnderstands(t *testing.T) {
	tests := map[*Object]bool{
		NewObject("Instance", "2.7"):   true,
		NewObject("Instance", "2.99"):  true,
		NewObject("Instance", "3.0"):   false,
		NewObject("Unheard Of", "1.0"): false,
		nil:                            false,
	}
	for o, want := range tests {
		if got := Zed().Understands(o); got != want {
			t.Errorf("%s %s: %v", o.Name(), o.Version(), got)
		}
	}
}

func TestNewUsesTheReleaseVersion(t *testing.T) {
	p, err := ProfileOf("2025.1")
	if err != nil {
		t.Fatal(err)
	}
	if o := p.New("ConsoleAuthToken"); o.Version() != "1.3" || o.Namespace() != "nova" || len(o.Fields()) != 0 {
		t.Errorf("got %s %s with %v", o.Name(), o.Version(), o.Fields())
	}
	list := p.NewList("InstanceList", p.New("Instance"))
	if list.Version() != "2.6" || len(list.Objects()) != 1 || !slices.Equal(list.Changes(), []string{"objects"}) {
		t.Errorf("got %v", list)
	}
}
