package records

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const answer = `<?xml version="1.0"?>
<resultset statement="select" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <row>
	<field name="vcpus">2</field>
	<field name="deleted_at" xsi:nil="true" />
	<field name="cpu_info">{&quot;model&quot;: &quot;m&quot;, &quot;features&quot;: [&quot;b&quot;, &quot;a&quot;]}</field>
	<field name="stats">{&quot;failed_builds&quot;: &quot;0&quot;}</field>
  </row>
</resultset>`

func TestRowsAreTakenApart(t *testing.T) {
	got := Records{}
	if err := got.addRow("row", []byte(answer)); err != nil {
		t.Fatal(err)
	}
	want := Records{
		"row/vcpus": "2", "row/deleted_at": "", "row/stats/failed_builds": "0",
		"row/cpu_info/model": "m", "row/cpu_info/features/length": "2", "row/cpu_info/features/0": "a", "row/cpu_info/features/1": "b",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := got.addRow("row", []byte("<resultset/>")); err == nil {
		t.Error("no row is no error")
	}
}

func TestCompare(t *testing.T) {
	first := Records{"service/state": "up", "service/id": "1", "compute_nodes/vcpus": "2", "gone": "x"}
	then := Records{"service/state": "up", "service/id": "2", "compute_nodes/vcpus": "3", "compute_nodes/stats/io_workload": "0",
		"compute_nodes/stats/num_instances": "1"}
	want := []Difference{
		{"compute_nodes/stats/io_workload", "", "0", "counts of nothing are told too"},
		{"compute_nodes/stats/num_instances", "", "1", ""},
		{"compute_nodes/vcpus", "2", "3", ""},
		{"gone", "x", "", ""},
		{"service/id", "1", "2", "each node registers anew"},
	}
	if d := cmp.Diff(want, Compare(first, then)); d != "" {
		t.Error(d)
	}
}
