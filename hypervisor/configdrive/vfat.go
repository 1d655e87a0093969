package configdrive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"
	"unicode/utf16"
)

// A VFAT drive is FAT16 (Microsoft, "FAT: General Overview of On-Disk Format") with long names, of the size that Nova
// gives such drives:
//
//	0    boot sector               257  root directory
//	1    two file allocation tables  289  clusters
const (
	fatSize         = 64 << 20 // bytes of the whole drive
	fatSector       = 512
	fatCluster      = 4 * fatSector
	fatTableSectors = 128
	fatRootEntries  = 512
	fatRootAt       = (1 + 2*fatTableSectors) * fatSector
	fatClustersAt   = fatRootAt + fatRootEntries*fatEntry
	fatClusters     = (fatSize - fatClustersAt) / fatCluster
	fatEntry        = 32 // bytes of one in a directory
	fatNameUnits    = 13 // UTF-16 units of a long name in one entry
	fatEndOfChain   = 0xffff
)

// Attributes of an entry.
const (
	fatVolume    = 0x08
	fatDirectory = 0x10
	fatArchive   = 0x20
	fatLongName  = 0x0f
)

var errFull = errors.New("files do not fit a VFAT drive of 64 MiB")

// layOutVFAT returns the used beginning of the image; the rest up to fatSize is empty.
func layOutVFAT(d Drive, root *node) ([]byte, error) {
	if len(d.Label) > 11 {
		return nil, fmt.Errorf("label %q is longer than 11 characters", d.Label)
	}
	f := &vfat{table: []uint16{0xfff8, fatEndOfChain}, created: d.Created.UTC()}
	if err := f.place(root); err != nil {
		return nil, err
	}
	image := make([]byte, fatClustersAt+(len(f.table)-2)*fatCluster)
	label := f.entry(pad(d.Label, 11), fatVolume, 0, 0)
	top := append(label, f.entries(root)...)
	if len(top) > fatRootEntries*fatEntry {
		return nil, errFull
	}
	copy(image[fatRootAt:], top)
	f.fill(image, root, 0)
	for copyOf := range 2 {
		at := image[(1+copyOf*fatTableSectors)*fatSector:]
		for i, next := range f.table {
			binary.LittleEndian.PutUint16(at[2*i:], next)
		}
	}
	copy(image, bootSector(d.Label, crc32.ChecksumIEEE(image[fatRootAt:])))
	return image, nil
}

// bootSector describes the file system. Its number tells one drive from another.
func bootSector(label string, number uint32) []byte {
	b := make([]byte, fatSector)
	copy(b, "\xeb\x3c\x90BOLIDE  ")
	le := binary.LittleEndian
	le.PutUint16(b[11:], fatSector)
	b[13] = fatCluster / fatSector
	le.PutUint16(b[14:], 1) // sectors before the tables
	b[16] = 2               // tables
	le.PutUint16(b[17:], fatRootEntries)
	b[21] = 0xf8 // no floppy
	le.PutUint16(b[22:], fatTableSectors)
	le.PutUint16(b[24:], 32) // sectors of a track, heads: what nobody looks at
	le.PutUint16(b[26:], 64)
	le.PutUint32(b[32:], fatSize/fatSector)
	b[36] = 0x80
	b[38] = 0x29 // number, label and type follow
	le.PutUint32(b[39:], number)
	copy(b[43:], pad(label, 11))
	copy(b[54:], "FAT16   ")
	le.PutUint16(b[510:], 0xaa55)
	return b
}

// vfat is a file system that is being laid out.
type vfat struct {
	table   []uint16 // for each cluster the next one of its chain
	created time.Time
}

// place gives clusters to everything below the directory.
func (f *vfat) place(dir *node) error {
	for _, n := range dir.children {
		size := len(n.data)
		if n.dir {
			size = 2*fatEntry + len(f.entries(n))
		}
		if err := f.take(n, size); err != nil {
			return err
		}
		if err := f.place(n); err != nil {
			return err
		}
	}
	return nil
}

// take chains as many clusters as size bytes need. Nothing needs none.
func (f *vfat) take(n *node, size int) error {
	if size == 0 {
		return nil
	}
	n.extent = uint32(len(f.table))
	for range (size+fatCluster-1)/fatCluster - 1 {
		f.table = append(f.table, uint16(len(f.table)+1))
	}
	f.table = append(f.table, fatEndOfChain)
	if len(f.table) > fatClusters {
		return errFull
	}
	return nil
}

// fill writes everything below the directory, which is itself at the cluster.
func (f *vfat) fill(image []byte, dir *node, cluster uint32) {
	for _, n := range dir.children {
		if n.extent == 0 {
			continue
		}
		at := image[fatClustersAt+int(n.extent-2)*fatCluster:]
		if !n.dir {
			copy(at, n.data)
			continue
		}
		self, parent := f.entry(pad(".", 11), fatDirectory, n.extent, 0), f.entry(pad("..", 11), fatDirectory, cluster, 0)
		copy(at, append(append(self, parent...), f.entries(n)...))
		f.fill(image, n, n.extent)
	}
}

// entries are those of all that is in the directory, each with its long name before it.
func (f *vfat) entries(dir *node) []byte {
	var out []byte
	for i, n := range dir.children {
		alias := shortName(n.name, i+1)
		out = append(out, longName(n.name, alias)...)
		if n.dir {
			out = append(out, f.entry(alias, fatDirectory, n.extent, 0)...)
		} else {
			out = append(out, f.entry(alias, fatArchive, n.extent, len(n.data))...)
		}
	}
	return out
}

func (f *vfat) entry(name string, attribute byte, cluster uint32, size int) []byte {
	t := f.created
	if t.Year() < 1980 { // where the format's time begins
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	date := uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day())
	clock := uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2)
	e := make([]byte, fatEntry)
	copy(e, name)
	e[11] = attribute
	le := binary.LittleEndian
	le.PutUint16(e[14:], clock)
	le.PutUint16(e[16:], date)
	le.PutUint16(e[18:], date)
	le.PutUint16(e[22:], clock)
	le.PutUint16(e[24:], date)
	le.PutUint16(e[26:], uint16(cluster))
	le.PutUint32(e[28:], uint32(size))
	return e
}

// shortName is the name that a reader without long names sees, told from others in the directory by its number.
func shortName(name string, number int) string {
	plain := func(s string, width int) string {
		s = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
				return r
			}
			return -1
		}, strings.ToUpper(s))
		return s[:min(len(s), width)]
	}
	base, extension := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		base, extension = name[:dot], name[dot+1:]
	}
	tail := fmt.Sprintf("~%d", number)
	return pad(plain(base, 8-len(tail))+tail, 8) + pad(plain(extension, 3), 3)
}

// longName is the entries that hold the name, last part first, and tie it to the alias by its checksum.
func longName(name, alias string) []byte {
	var sum byte
	for i := range len(alias) {
		sum = sum>>1 | sum<<7
		sum += alias[i]
	}
	units := utf16.Encode([]rune(name))
	count := (len(units) + fatNameUnits - 1) / fatNameUnits
	if len(units)%fatNameUnits != 0 {
		units = append(units, 0)
	}
	for len(units) < count*fatNameUnits {
		units = append(units, 0xffff)
	}
	out := make([]byte, 0, count*fatEntry)
	for part := count; part > 0; part-- {
		e := make([]byte, fatEntry)
		e[0], e[11], e[13] = byte(part), fatLongName, sum
		if part == count {
			e[0] |= 0x40 // the last part
		}
		for i, unit := range units[(part-1)*fatNameUnits : part*fatNameUnits] {
			binary.LittleEndian.PutUint16(e[longNameAt[i]:], unit)
		}
		out = append(out, e...)
	}
	return out
}

// longNameAt is where in an entry the units of a long name are.
var longNameAt = [fatNameUnits]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

func pad(s string, width int) string { return fmt.Sprintf("%-*s", width, s) }
