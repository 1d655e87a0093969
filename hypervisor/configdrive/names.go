package configdrive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unicode/utf16"
)

// maxISOName is the longest name of the primary hierarchy without its version number (ECMA-119 7.5.1).
const maxISOName = 30

// isoName is what a reader without Rock Ridge or Joliet sees. The case and all dots are kept, as readers in use show
// them; a name that is too long is cut and told apart by its checksum.
func isoName(n *node) []byte {
	name := make([]byte, 0, len(n.name)+3)
	for i := range len(n.name) {
		c := n.name[i]
		if c < 0x20 || c > 0x7e || c == ';' {
			c = '_'
		}
		name = append(name, c)
	}
	if len(name) > maxISOName-1 || string(name) != n.name {
		name = fmt.Appendf(name[:min(len(name), maxISOName-10)], "_%08x", crc32.ChecksumIEEE([]byte(n.name)))
	}
	if n.dir {
		return name
	}
	if !bytes.Contains(name, []byte{'.'}) {
		name = append(name, '.') // the format wants one in the name of every file
	}
	return append(name, ";1"...)
}

// jolietName is what Windows sees. It goes without a version number, as in the drives that mkisofs makes.
func jolietName(n *node) []byte { return utf16BE(n.name) }

func utf16BE(s string) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		out = binary.BigEndian.AppendUint16(out, unit)
	}
	return out
}
