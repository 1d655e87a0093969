package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseINI(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []assignment
		err  string
	}{
		"empty":                {text: "", want: nil},
		"plain":                {text: "[a]\nk = v\n", want: []assignment{{"a", "k", "v", 2}}},
		"colon":                {text: "[a]\nk: v=w", want: []assignment{{"a", "k", "v=w", 2}}},
		"repeated":             {text: "[a]\nk=1\nk=2", want: []assignment{{"a", "k", "1", 2}, {"a", "k", "2", 3}}},
		"comments":             {text: "# x\n[a]\n;y\nk=v # not one", want: []assignment{{"a", "k", "v # not one", 4}}},
		"continued":            {text: "[a]\nk=1\n  2\n\t3\n\nl=4", want: []assignment{{"a", "k", "1\n2\n3", 2}, {"a", "l", "4", 6}}},
		"quotes":               {text: "[a]\nk=\"v w\"\nl='x\"\nm=\"", want: []assignment{{"a", "k", "v w", 2}, {"a", "l", "'x\"", 3}, {"a", "m", "", 4}}},
		"mac line ends":        {text: "[a]\rk=v\rl=w", want: []assignment{{"a", "k", "v", 2}, {"a", "l", "w", 3}}},
		"section as it is":     {text: "[ a b ]\nk=v", want: []assignment{{" a b ", "k", "v", 2}}},
		"no section":           {text: "k=v\n", err: `line 1: option before the first [section]: "k"`},
		"section open":         {text: "[a\n", err: `line 1: section must end with ]: "[a"`},
		"section nameless":     {text: "[]\n", err: `line 1: empty section name: "[]"`},
		"no separator":         {text: "[a]\nfoo\n", err: `line 2: no ':' or '=' in assignment: "foo"`},
		"no name":              {text: "[a]\n = v\n=v", err: `line 2: continuation of nothing (remove the leading blank): " = v"`},
		"empty name":           {text: "[a]\n=v", err: `line 2: empty option name: "=v"`},
		"continued by comment": {text: "[a]\nk=1\n# c\n 2", err: `line 4: continuation of nothing (remove the leading blank): " 2"`},
		"not UTF-8":            {text: "[a]\nk=\xff", err: "line 2: not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseINI(tt.text)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(assignment{})); d != "" {
				t.Error(d)
			}
		})
	}
}

// FuzzParse looks for text that breaks the parser, and holds what it reads
// against writing it down again.
func FuzzParse(f *testing.F) {
	f.Add("[DEFAULT]\nmy_ip = 1.2.3.4\n# c\nlist = a,\n b\n")
	f.Add("[a]\nk=\"v\"\r\n[b]\rx: y\n")
	f.Fuzz(func(t *testing.T, text string) {
		as, err := parseINI(text)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, a := range as {
			if a.section == "" || a.name == "" {
				t.Fatalf("assignment without section or name: %+v", a)
			}
			b.WriteString("[" + a.section + "]\n" + a.name + " = " + `"` + strings.ReplaceAll(a.value, "\n", "\n ") + `"` + "\n")
		}
		again, err := parseINI(b.String())
		if err != nil {
			t.Fatalf("written again: %v\n%s", err, b.String())
		}
		if len(again) != len(as) {
			t.Fatalf("%d assignments, written again %d", len(as), len(again))
		}
		for i := range as {
			if again[i].name != as[i].name || again[i].section != as[i].section {
				t.Fatalf("%+v, written again %+v", as[i], again[i])
			}
			if !strings.Contains(as[i].value, "\n") && again[i].value != as[i].value {
				t.Fatalf("%+v, written again %+v", as[i], again[i])
			}
		}
	})
}

func FuzzSubstitute(f *testing.F) {
	f.Add("http://$my_ip:${port}/$$x$")
	f.Add(`\$a$1`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := substitute(text, func(string) (string, error) { return "", nil })
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > len(text) {
			t.Errorf("%q grew to %q", text, got)
		}
	})
}
