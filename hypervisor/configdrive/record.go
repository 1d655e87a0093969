package configdrive

import (
	"encoding/binary"
	"time"
)

type stamp = time.Time

var (
	little = binary.LittleEndian
	big    = binary.BigEndian
)

// record is one directory record to be: a child, the directory itself or its parent.
type record struct {
	name   []byte
	extent uint32
	size   uint32
	node   *node
	self   bool // the first record of a directory
	root   bool // of the root
	dots   bool // the directory itself or its parent, which carry no name of their own
}

// Flag of a directory record (ECMA-119 9.1.6).
const flagDirectory = 2

// encode returns the records of a directory. No record crosses a sector.
func (h *hierarchy) encode(dir *directory) []byte {
	var out []byte
	add := func(r record) {
		b := h.record(r)
		if used := len(out) % sectorSize; used+len(b) > sectorSize {
			out = append(out, make([]byte, sectorSize-used)...)
		}
		out = append(out, b...)
	}
	root := dir == h.dirs[0]
	add(record{name: []byte{0}, extent: dir.extent, size: dir.size, node: dir.node, self: true, root: root, dots: true})
	up := dir.parent
	add(record{name: []byte{1}, extent: up.extent, size: up.size, node: up.node, dots: true})
	for _, e := range dir.entries {
		r := record{name: e.name, node: e.node, extent: e.node.extent, size: uint32(len(e.node.data))}
		if e.dir != nil {
			r.extent, r.size = e.dir.extent, e.dir.size
		}
		add(r)
	}
	return out
}

// record encodes one directory record (ECMA-119 9.1).
func (h *hierarchy) record(r record) []byte {
	out := make([]byte, 33, 255)
	bothEndian32(out[2:], r.extent)
	bothEndian32(out[10:], r.size)
	copy(out[18:], h.stamp)
	if r.node.dir {
		out[25] = flagDirectory
	}
	bothEndian16(out[28:], 1)
	out[32] = byte(len(r.name))
	out = append(out, r.name...)
	if len(r.name)%2 == 0 {
		out = append(out, 0)
	}
	if h.extra != nil {
		out = append(out, h.extra(h, r)...)
	}
	if len(out)%2 != 0 {
		out = append(out, 0)
	}
	out[0] = byte(len(out))
	return out
}

// rootRecord is the copy of the root's record within a volume descriptor, which has room for no more.
func (h *hierarchy) rootRecord() []byte {
	root := h.dirs[0]
	plain := *h
	plain.extra = nil
	return plain.record(record{name: []byte{0}, extent: root.extent, size: root.size, node: root.node})
}

// pathTable lists all directories (ECMA-119 9.4), in one byte order.
func (h *hierarchy) pathTable(order binary.ByteOrder) []byte {
	var out []byte
	for _, dir := range h.dirs {
		head := make([]byte, 8)
		head[0] = byte(len(dir.name))
		order.PutUint32(head[2:], dir.extent)
		order.PutUint16(head[6:], dir.parent.number)
		out = append(append(out, head...), dir.name...)
		if len(dir.name)%2 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

func (h *hierarchy) tableSize() int { return len(h.pathTable(little)) }

func bothEndian32(to []byte, v uint32) {
	little.PutUint32(to, v)
	big.PutUint32(to[4:], v)
}

func bothEndian16(to []byte, v uint16) {
	little.PutUint16(to, v)
	big.PutUint16(to[2:], v)
}

// recordTime is the short form of a time (ECMA-119 9.1.5), in UTC.
func recordTime(t stamp) []byte {
	t = t.UTC()
	return []byte{byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0}
}
