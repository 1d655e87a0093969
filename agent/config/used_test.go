package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestOptionsAreUsed holds every option that does not warn of being ignored against the code: some file outside this
// package must read its field, or the check of this package refuse it. An option that is read and ignored in silence
// would be a promise that nobody keeps.
func TestOptionsAreUsed(t *testing.T) {
	used := selectedNames(t)
	for _, o := range declare(&Config{}, "zed") {
		if o.unused() == "" && !used[o.fieldName] && o.name != "auth_section" { // that one is read while others are
			t.Errorf("%s is in no code and has no tag unused", o.ref)
		}
	}
}

// selectedNames are all names that come after a dot in the module, without this package (but for its checks) and tests.
func selectedNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "testdata" || e.Name() == "build" || strings.HasPrefix(e.Name(), ".") && len(e.Name()) > 2):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		case filepath.Dir(path) == filepath.Join("..", "..", "agent", "config") && e.Name() != "check.go":
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				names[s.Sel.Name] = true
			}
			return true
		})
		return nil
	})
	if err != nil || len(names) < 1000 {
		t.Fatalf("%d names found: %v", len(names), err)
	}
	return names
}
