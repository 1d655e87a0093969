package configdrive

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// layOut places everything and returns the whole image:
//
//	0  system area, empty          19  path tables of both hierarchies
//	16 primary volume descriptor    .  directories with Rock Ridge names, their continuation area
//	17 Joliet volume descriptor     .  directories with Joliet names
//	18 end of descriptors           .  the files, shared by both
func layOut(d Drive, root *node) ([]byte, error) {
	primary, err := newHierarchy(root, isoName, d.Created, rockRidge)
	if err != nil {
		return nil, err
	}
	joliet, err := newHierarchy(root, jolietName, d.Created, nil)
	if err != nil {
		return nil, err
	}
	next := uint32(19)
	take := func(size int) uint32 {
		at := next
		next += uint32(sectors(size))
		return at
	}
	for _, h := range []*hierarchy{primary, joliet} {
		h.littleTable, h.bigTable = take(h.tableSize()), take(h.tableSize())
	}
	primary.place(take)
	primary.continuation = take(len(extensionReference()))
	joliet.place(take)
	root.place(take)

	image := make([]byte, int(next)*sectorSize)
	at := func(sector uint32) []byte { return image[int(sector)*sectorSize:] }
	copy(at(16), descriptor(d, primary, next))
	copy(at(17), jolietDescriptor(d, joliet, next))
	copy(at(18), terminator())
	for _, h := range []*hierarchy{primary, joliet} {
		copy(at(h.littleTable), h.pathTable(little))
		copy(at(h.bigTable), h.pathTable(big))
		for _, dir := range h.dirs {
			copy(at(dir.extent), h.encode(dir))
		}
	}
	copy(at(primary.continuation), extensionReference())
	root.copyTo(at)
	return image, nil
}

// sectors is how many of them hold size bytes.
func sectors(size int) int { return (size + sectorSize - 1) / sectorSize }

func (n *node) place(take func(int) uint32) {
	for _, child := range n.children {
		if child.dir {
			child.place(take)
		} else {
			child.extent = take(len(child.data))
		}
	}
}

func (n *node) copyTo(at func(uint32) []byte) {
	for _, child := range n.children {
		if child.dir {
			child.copyTo(at)
		} else if len(child.data) > 0 {
			copy(at(child.extent), child.data)
		}
	}
}

// hierarchy is one of the two directory trees over the same files.
type hierarchy struct {
	dirs  []*directory // breadth first: the order of the path table
	stamp []byte       // time of every record
	extra func(h *hierarchy, of record) []byte

	littleTable, bigTable uint32 // first sectors of the path tables
	continuation          uint32 // sector of what does not fit the root's first record
}

// directory is one directory of a hierarchy.
type directory struct {
	name    []byte // encoded; one zero byte for the root
	node    *node
	parent  *directory // itself for the root
	number  uint16     // in the path table, from 1
	entries []*entry   // sorted by encoded name
	extent  uint32
	size    uint32
}

// entry is a child of a directory.
type entry struct {
	name []byte
	node *node
	dir  *directory // of a child that is one
}

func newHierarchy(root *node, encodeName func(*node) []byte, created stamp, extra func(*hierarchy, record) []byte) (*hierarchy, error) {
	h := &hierarchy{stamp: recordTime(created), extra: extra}
	top := &directory{name: []byte{0}, node: root}
	top.parent = top
	for queue := []*directory{top}; len(queue) > 0; queue = queue[1:] {
		dir := queue[0]
		h.dirs = append(h.dirs, dir)
		if len(h.dirs) > math.MaxUint16 {
			return nil, errors.New("too many directories")
		}
		dir.number = uint16(len(h.dirs))
		for _, child := range dir.node.children {
			dir.entries = append(dir.entries, &entry{name: encodeName(child), node: child})
		}
		slices.SortFunc(dir.entries, func(a, b *entry) int { return slices.Compare(a.name, b.name) })
		for i, e := range dir.entries {
			if i > 0 && slices.Equal(e.name, dir.entries[i-1].name) {
				return nil, fmt.Errorf("names %q and %q are the same on the drive", dir.entries[i-1].node.name, e.node.name)
			}
			if e.node.dir {
				e.dir = &directory{name: e.name, node: e.node, parent: dir}
				queue = append(queue, e.dir)
			}
		}
	}
	return h, nil
}

// place gives each directory its sectors.
func (h *hierarchy) place(take func(int) uint32) {
	for _, dir := range h.dirs {
		dir.size = uint32(sectors(len(h.encode(dir))) * sectorSize)
		dir.extent = take(int(dir.size))
	}
}
