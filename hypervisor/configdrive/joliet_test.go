package configdrive

import (
	"encoding/binary"
	"path"
	"testing"
	"unicode/utf16"
)

// readJoliet is a reader of its own for the hierarchy that Windows uses. It knows nothing of the writer: all it takes
// from the image are the descriptors and the records they lead to.
func readJoliet(t *testing.T, image []byte) map[string][]byte {
	t.Helper()
	for at := 16 * 2048; at+2048 <= len(image); at += 2048 {
		d := image[at : at+2048]
		if string(d[1:6]) != "CD001" || d[0] == 255 {
			break
		}
		if d[0] == 2 && string(d[88:91]) == "%/E" {
			files := map[string][]byte{}
			readDirectory(t, image, d[156:190], "", files)
			return files
		}
	}
	t.Fatal("no Joliet descriptor")
	return nil
}

func readDirectory(t *testing.T, image, record []byte, at string, files map[string][]byte) {
	t.Helper()
	content := extent(t, image, record)
	for off := 0; off < len(content); {
		size := int(content[off])
		if size == 0 { // the rest of the sector is empty
			off = (off/2048 + 1) * 2048
			continue
		}
		r := content[off : off+size]
		off += size
		id := r[33 : 33+int(r[32])]
		if len(id) == 1 { // itself, or its parent
			continue
		}
		name := path.Join(at, decodeUTF16(id))
		if r[25]&2 != 0 {
			readDirectory(t, image, r, name, files)
		} else {
			files[name] = append([]byte{}, extent(t, image, r)...)
		}
	}
}

func extent(t *testing.T, image, record []byte) []byte {
	t.Helper()
	from := int(binary.LittleEndian.Uint32(record[2:])) * 2048
	size := int(binary.LittleEndian.Uint32(record[10:]))
	if from != int(binary.BigEndian.Uint32(record[6:]))*2048 || size != int(binary.BigEndian.Uint32(record[14:])) {
		t.Fatal("the two byte orders of a record differ")
	}
	if size == 0 {
		return nil
	}
	if from+size > len(image) {
		t.Fatalf("extent of %d bytes at %d leaves the image of %d", size, from, len(image))
	}
	return image[from : from+size]
}

func decodeUTF16(b []byte) string {
	var units []uint16
	for i := 0; i+1 < len(b); i += 2 {
		units = append(units, binary.BigEndian.Uint16(b[i:]))
	}
	return string(utf16.Decode(units))
}
