package configdrive

// Modes of files and directories: readable by all, written by nobody, owned by root.
const (
	modeFile      = 0o100444
	modeDirectory = 0o040555
)

// rockRidge returns the POSIX attributes of a record (Rock Ridge Interchange Protocol 1.09 over SUSP 1.10).
func rockRidge(h *hierarchy, r record) []byte {
	var out []byte
	if r.root && r.self {
		out = append(out, 'S', 'P', 7, 1, 0xbe, 0xef, 0) // says that attributes are here at all
	}
	mode, links := uint32(modeFile), uint32(1)
	if r.node.dir {
		mode, links = modeDirectory, 2
		for _, child := range r.node.children {
			if child.dir {
				links++
			}
		}
	}
	posix := make([]byte, 36)
	copy(posix, "PX\x24\x01")
	bothEndian32(posix[4:], mode)
	bothEndian32(posix[12:], links)
	out = append(out, posix...)

	const modified, accessed, changed = 2, 4, 8
	out = append(out, 'T', 'F', 5+3*7, 1, modified|accessed|changed)
	for range 3 {
		out = append(out, h.stamp...)
	}
	if !r.dots {
		out = append(out, 'N', 'M', byte(5+len(r.node.name)), 1, 0)
		out = append(out, r.node.name...)
	}
	if r.root && r.self {
		more := make([]byte, 28)
		copy(more, "CE\x1c\x01")
		bothEndian32(more[4:], h.continuation)
		bothEndian32(more[20:], uint32(len(extensionReference())))
		out = append(out, more...)
	}
	return out
}

// extensionReference names the protocol; it is too long for the record it belongs to.
func extensionReference() []byte {
	const id = "RRIP_1991A"
	const about = "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
	const source = "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."
	head := []byte{'E', 'R', byte(8 + len(id) + len(about) + len(source)), 1, byte(len(id)), byte(len(about)), byte(len(source)), 1}
	return append(head, id+about+source...)
}
