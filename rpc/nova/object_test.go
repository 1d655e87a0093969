package nova

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestEveryRecordedObjectRoundTrips(t *testing.T) {
	classes := map[string]int{}
	for _, r := range recordings(t) {
		for name, raw := range r.Message.Args {
			roundTrip(t, r.file+" "+r.Message.Method+" "+name, raw, classes)
		}
		if r.result != nil {
			roundTrip(t, r.file+" reply to "+r.Message.Method, r.result, classes)
		}
	}
	for _, class := range []string{"Instance", "ComputeNode", "RequestSpec", "BlockDeviceMapping", "LibvirtLiveMigrateData", "Diagnostics"} {
		if classes[class] == 0 {
			t.Errorf("no %s seen in the recordings", class)
		}
	}
}

func roundTrip(t *testing.T, what string, raw json.RawMessage, classes map[string]int) {
	t.Helper()
	v, err := DecodeValue(raw)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	countObjects(v, classes)
	sameJSON(t, what, raw, v)
}

func countObjects(v any, classes map[string]int) {
	switch v := v.(type) {
	case *Object:
		classes[v.Name()]++
		for _, f := range v.Fields() {
			countObjects(v.Raw(f), classes)
		}
	case []any:
		for _, item := range v {
			countObjects(item, classes)
		}
	case map[string]any:
		for _, item := range v {
			countObjects(item, classes)
		}
	}
}

const sample = `{"nova_object.name":"Thing","nova_object.namespace":"nova","nova_object.version":"1.3",
"nova_object.data":{"id":7,"ratio":16.0,"nothing":null,"yes":true,"on":"True","off":"","when":"2026-11-21T16:19:20Z",
"dict":{"a":"1","b":null},"list":["x","y"],"set":[3,1],"future":{"deep":[1.50]},
"flavor":{"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2","nova_object.data":{"memory_mb":192}},
"things":{"nova_object.name":"ThingList","nova_object.namespace":"nova","nova_object.version":"1.0",
 "nova_object.data":{"objects":[{"nova_object.name":"Thing","nova_object.namespace":"nova","nova_object.version":"1.3","nova_object.data":{"id":8}}]}},
"parts":[{"nova_object.name":"Part","nova_object.namespace":"nova","nova_object.version":"1.0","nova_object.data":{"n":1}}]},
"nova_object.changes":["id"]}`

func decodeSample(t *testing.T) *Object {
	t.Helper()
	o, err := Decode(json.RawMessage(sample))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestReading(t *testing.T) {
	o := decodeSample(t)
	got := map[string]any{
		"name": o.Name(), "version": o.Version(), "namespace": o.Namespace(),
		"int": o.Int("id"), "float": o.Float("ratio"), "whole float as int": o.Int("ratio"),
		"null is set": o.Has("nothing"), "null is null": o.IsNull("nothing"), "unset is null": o.IsNull("missing"),
		"unset is not set": o.Has("missing"), "bool": o.Bool("yes"), "text true": o.Bool("on"), "text false": o.Bool("off"),
		"time": o.Time("when"), "map": o.Map("dict"), "strings": o.Strings("list"), "ints": o.Ints("set"),
		"nested": Flavor{o.Obj("flavor")}.MemoryMB(), "list object": o.List("things")[0].Int("id"),
		"plain list": o.List("parts")[0].Int("n"), "text of number": o.Str("id"), "wrong kind": o.Str("list"),
	}
	want := map[string]any{
		"name": "Thing", "version": "1.3", "namespace": "nova",
		"int": int64(7), "float": 16.0, "whole float as int": int64(16),
		"null is set": true, "null is null": true, "unset is null": true,
		"unset is not set": false, "bool": true, "text true": true, "text false": false,
		"time": time.Date(2026, 11, 21, 16, 19, 20, 0, time.UTC),
		"map":  map[string]string{"a": "1", "b": ""}, "strings": []string{"x", "y"}, "ints": []int64{3, 1},
		"nested": int64(192), "list object": int64(8), "plain list": int64(1), "text of number": "7", "wrong kind": "",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsReadFromNoObject(t *testing.T) {
	var inst Instance
	if inst.Exists() || inst.Has("uuid") || inst.UUID() != "" || inst.Flavor().MemoryMB() != 0 ||
		inst.Metadata() != nil || !inst.LaunchedAt().IsZero() || inst.Flavor().ExtraSpec("x") != "" ||
		len(inst.Tags()) != 0 || inst.Clone() != nil || len(inst.Changes()) != 0 || inst.Object.Name() != "" {
		t.Errorf("a view of no object reads something")
	}
}

func TestSetMarksWhatChanged(t *testing.T) {
	tests := []struct {
		name string
		set  func(o *Object)
		want []string
	}{
		{"nothing", func(*Object) {}, []string{"id"}},
		{"the same value", func(o *Object) { o.Set("yes", true); o.Set("list", []string{"x", "y"}) }, []string{"id"}},
		{"the same float", func(o *Object) { o.Set("ratio", 16.0) }, []string{"id"}},
		{"the same time", func(o *Object) { o.Set("when", o.Time("when")) }, []string{"id"}},
		{"a time later in the second", func(o *Object) { o.Set("when", o.Time("when").Add(time.Millisecond)) }, []string{"id", "when"}},
		{"null again", func(o *Object) { o.Set("nothing", nil) }, []string{"id"}},
		{"null on an unset field", func(o *Object) { o.Set("fresh", nil) }, []string{"fresh", "id"}},
		{"another value", func(o *Object) { o.Set("yes", false) }, []string{"id", "yes"}},
		{"inside a nested object", func(o *Object) { o.Obj("flavor").Set("vcpus", 2) }, []string{"flavor", "id"}},
		{"inside a list object", func(o *Object) { o.List("things")[0].Set("id", 9) }, []string{"id", "things"}},
		{"inside a plain list", func(o *Object) { o.List("parts")[0].Set("n", 2) }, []string{"id"}},
		{"another object of the same content", func(o *Object) { o.Set("flavor", o.Obj("flavor").Clone()) }, []string{"flavor", "id"}},
		{"unset", func(o *Object) { o.Unset("id") }, nil},
		{"cleared", func(o *Object) { o.ClearChanges() }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := decodeSample(t)
			tt.set(o)
			if got := o.Changes(); !slices.Equal(got, tt.want) {
				t.Errorf("changes are %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSetWritesTheWireForm(t *testing.T) {
	tests := []struct {
		name string
		v    any
		want string
	}{
		{"int", 3, `3`}, {"int64", int64(1) << 60, `1152921504606846976`}, {"float", 1.5, `1.5`}, {"whole float", 16.0, `16.0`},
		{"text", "a\"b", `"a\"b"`}, {"null", nil, `null`}, {"no object", (*Object)(nil), `null`},
		{"time", time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("", 3600)), `"2026-01-02T02:04:05Z"`},
		{"no time", time.Time{}, `null`}, {"strings", []string{"a"}, `["a"]`}, {"ints", []int{2, 1}, `[2,1]`},
		{"map", map[string]string{"k": "v"}, `{"k":"v"}`}, {"state", TaskSpawning, `"spawning"`},
		{"view", Flavor{NewObject("Flavor", "1.2")}, `{"nova_object.data":{},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := NewObject("T", "1.0")
			o.Set("f", tt.v)
			raw, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			want := `{"nova_object.changes":["f"],"nova_object.data":{"f":` + tt.want + `},"nova_object.name":"T","nova_object.namespace":"nova","nova_object.version":"1.0"}`
			if string(raw) != want {
				t.Errorf("got  %s\nwant %s", raw, want)
			}
		})
	}
}

func TestAValueWithoutJSONFailsTheEncoding(t *testing.T) {
	o := NewObject("T", "1.0")
	o.Set("f", math.NaN())
	if raw, err := json.Marshal(o); err == nil {
		t.Errorf("encoded as %s", raw)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	o := decodeSample(t)
	before, _ := json.Marshal(o)
	c := o.Clone()
	c.Set("id", 99)
	c.Obj("flavor").Set("memory_mb", 1)
	c.List("things")[0].Set("id", 1)
	c.List("parts")[0].Set("n", 5)
	after, _ := json.Marshal(o)
	if string(before) != string(after) {
		t.Errorf("the original changed:\n%s\n%s", before, after)
	}
}

func TestPutSystemMetadataKeepsNulls(t *testing.T) {
	inst := Instance{NewObject("Instance", "2.7")}
	inst.Set("system_metadata", map[string]any{"a": "1", "b": nil, "c": "3"})
	inst.ClearChanges()
	inst.PutSystemMetadata("d", "4")
	inst.DropSystemMetadata("c", "absent")
	want := map[string]any{"a": "1", "b": nil, "d": "4"}
	if diff := gocmp.Diff(want, inst.Raw("system_metadata")); diff != "" || !slices.Equal(inst.Changes(), []string{"system_metadata"}) {
		t.Errorf("changes %v\n%s", inst.Changes(), diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, raw := range []string{``, `{`, `[]`, `"x"`, `7`, `{}`, `{"nova_object.name":"X"}`,
		`{"nova_object.name":"X","nova_object.version":"1.0","nova_object.data":[]}`,
		`{"nova_object.name":7,"nova_object.version":"1.0","nova_object.data":{}}`,
		`{"nova_object.name":"X","nova_object.version":"1.0","nova_object.data":{}} trailing`,
	} {
		if o, err := Decode(json.RawMessage(raw)); err == nil {
			t.Errorf("%s decoded as %v", raw, o)
		}
	}
	if o, err := Decode(json.RawMessage(`null`)); o != nil || err != nil {
		t.Errorf("null gave %v, %v", o, err)
	}
	var o *Object
	if err := o.UnmarshalJSON([]byte(sample)); err == nil {
		t.Error("decoded into no object")
	}
}

func TestMetadataThatLooksLikeAnObjectStaysMetadata(t *testing.T) {
	raw := strings.Replace(sample, `"dict":{"a":"1","b":null}`, `"dict":{"nova_object.name":"Instance","nova_object.version":"2.7","nova_object.data":"x"}`, 1)
	o, err := Decode(json.RawMessage(raw))
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Map("dict")["nova_object.name"]; got != "Instance" {
		t.Errorf("the dictionary reads %q", got)
	}
	sameJSON(t, "object", json.RawMessage(raw), o)
}

func TestApply(t *testing.T) {
	o := decodeSample(t)
	o.Obj("flavor").Set("memory_mb", 1)
	updates := map[string]json.RawMessage{
		"id":               json.RawMessage(`9`),
		"nothing":          json.RawMessage(`"something"`),
		"unknown":          json.RawMessage(`{"k":1}`),
		"flavor":           json.RawMessage(`{"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2","nova_object.data":{"memory_mb":512}}`),
		"ec2_ids":          json.RawMessage(`{"nova_object.name":"EC2Ids","nova_object.namespace":"nova","nova_object.version":"1.0","nova_object.data":{"ami_id":"a"},"nova_object.changes":["ami_id"]}`),
		"obj_what_changed": json.RawMessage(`["ec2_ids"]`),
	}
	if err := o.apply(updates); err != nil {
		t.Fatal(err)
	}
	if o.Int("id") != 9 || o.Str("nothing") != "something" || o.Obj("flavor").Int("memory_mb") != 512 || !o.Has("unknown") {
		t.Errorf("updates not taken over: %v", o.data)
	}
	if o.Has("obj_what_changed") || !slices.Equal(o.Changes(), []string{"ec2_ids"}) {
		t.Errorf("changes are %v", o.Changes())
	}
	before, _ := json.Marshal(o)
	if err := o.apply(map[string]json.RawMessage{"id": json.RawMessage(`10`), "bad": json.RawMessage(`{`)}); err == nil {
		t.Error("malformed updates taken")
	}
	if after, _ := json.Marshal(o); string(after) != string(before) {
		t.Error("malformed updates taken in part")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`[{"nova_object.name":"X","nova_object.version":"1.0","nova_object.data":{"a":[null,1e400]}}]`))
	seen := map[string]bool{}
	for _, r := range recordings(f) {
		if key := r.Message.Method + string(r.Message.Args["objname"]); !seen[key] && len(r.result) < 20000 {
			seen[key] = true
			f.Add([]byte(r.result))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := DecodeValue(raw)
		if err != nil {
			return
		}
		once, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("decoded but does not encode: %v", err)
		}
		v2, err := DecodeValue(once)
		if err != nil {
			t.Fatalf("own encoding does not decode: %v\n%s", err, once)
		}
		twice, err := json.Marshal(v2)
		if err != nil || string(once) != string(twice) {
			t.Fatalf("encoding is not stable: %v\n%s\n%s", err, once, twice)
		}
		o, ok := v.(*Object)
		if !ok {
			return
		}
		for _, field := range o.Fields() {
			_, _, _, _ = o.Str(field), o.Int(field), o.Float(field), o.Bool(field)
			_, _, _, _, _ = o.Time(field), o.Map(field), o.Strings(field), o.List(field), o.Obj(field).Changes()
		}
	})
}
