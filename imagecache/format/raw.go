package format

import "encoding/binary"

// parseRaw describes what no recogniser claimed: a plain disk, or one of the parts of an Amazon image (a kernel, a
// ramdisk, a file system), which the image service calls aki, ari and ami.
func parseRaw(img *image) (Info, error) {
	info := Info{Format: Raw, VirtualSize: img.size, Partitions: partitions(img)}
	if info.Partitions == "" {
		info.Content = content(img)
	}
	return info, img.err
}

// partitions names the partition table an image starts with: "gpt", "mbr" or "".
func partitions(img *image) string {
	const table, entry, signature = 446, 16, 510
	b := img.at(0, 512)
	if b == nil || binary.LittleEndian.Uint16(b[signature:]) != 0xaa55 {
		return ""
	}
	if img.has(512, "EFI PART") || img.has(4096, "EFI PART") {
		return "gpt"
	}
	used := false
	for i := range 4 {
		e := b[table+i*entry:]
		if e[0]&0x7f != 0 {
			return "" // a boot sector of something else
		}
		used = used || e[4] != 0
	}
	if used {
		return "mbr"
	}
	return ""
}

// content guesses, for people, what an unpartitioned image holds; "" when nothing is known.
func content(img *image) string {
	marks := []struct {
		off  int64
		mark string
		name string
	}{
		{0x202, "HdrS", "linux kernel"},
		{0, "\x7fELF", "elf"},
		{0, "\x1f\x8b", "gzip"},
		{0, "\xfd7zXZ\x00", "xz"},
		{0, "\x28\xb5\x2f\xfd", "zstd"},
		{0, "070701", "cpio"},
		{0x438, "\x53\xef", "ext"},
		{0, "XFSB", "xfs"},
		{0x10040, "_BHRfS_M", "btrfs"},
		{3, "NTFS    ", "ntfs"},
		{0x36, "FAT1", "fat"},
		{0x52, "FAT32", "fat"},
		{4086, "SWAPSPACE2", "swap"},
	}
	for _, m := range marks {
		if img.has(m.off, m.mark) {
			return m.name
		}
	}
	return ""
}
