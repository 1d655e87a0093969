package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// FormatsFile is the name of the file beside an instance's disks in which Nova keeps the format each was made with, one line of
// JSON from path to format. It exists so that nobody ever probes a disk a guest can write to.
const FormatsFile = "disk.info"

// RecordFormat notes the format of a disk in the disk.info beside it. Noting the same again does nothing; noting
// another format than was noted is an error, as it is for Nova's node: a disk does not change its format.
//
// The caller serialises calls for one instance.
func RecordFormat(path, format string) error {
	old, err := RecordedFormat(path)
	if err != nil {
		return err
	}
	switch old {
	case format:
		return nil
	case "":
		return noteFormat(path, format)
	}
	return fmt.Errorf("record format of %s: it was made as %s, not %s", path, old, format)
}

// noteFormat writes the format down, whatever was noted before.
func noteFormat(path, format string) error {
	if err := checkFormats(format); err != nil {
		return fmt.Errorf("record format of %s: %w", path, err)
	}
	file := filepath.Join(filepath.Dir(path), FormatsFile)
	formats, err := readFormats(file)
	if err != nil {
		return err
	}
	formats[path] = format
	if err := WriteFile(file, encodeFormats(formats)); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// RecordedFormat returns the format noted for a disk, or "" when none is.
func RecordedFormat(path string) (string, error) {
	formats, err := readFormats(filepath.Join(filepath.Dir(path), FormatsFile))
	if err != nil {
		return "", err
	}
	return formats[path], nil
}

// ForgetFormats drops the notes of disks that are gone, so that others of their names may have other formats. It leaves
// the file alone where it knows nothing of them.
func ForgetFormats(paths ...string) error {
	if len(paths) == 0 {
		return nil
	}
	file := filepath.Join(filepath.Dir(paths[0]), FormatsFile)
	formats, err := readFormats(file)
	if err != nil {
		return err
	}
	before := len(formats)
	for _, p := range paths {
		delete(formats, p)
	}
	if len(formats) == before {
		return nil
	}
	if err := WriteFile(file, encodeFormats(formats)); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

func readFormats(file string) (map[string]string, error) {
	formats := map[string]string{}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return formats, nil
	}
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return formats, nil
	}
	if err := json.Unmarshal(b, &formats); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return formats, nil
}

// encodeFormats spaces the line as Python does, so that both nodes' files compare equal.
func encodeFormats(formats map[string]string) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, path := range slices.Sorted(maps.Keys(formats)) {
		if i > 0 {
			b.WriteString(", ")
		}
		name, _ := json.Marshal(path) // a string always encodes
		fmt.Fprintf(&b, "%s: %q", name, formats[path])
	}
	b.WriteString("}\n")
	return b.Bytes()
}
