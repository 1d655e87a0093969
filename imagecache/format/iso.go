package format

import "encoding/binary"

// ISO 9660 (ECMA-119) and UDF (ECMA-167) begin their volume descriptors after 16 sectors of 2 KiB.
const (
	isoDescriptors = 16 * 2048
	isoPrimary     = 1
)

func matchISO(img *image) bool {
	b := img.at(isoDescriptors, 6)
	if b == nil {
		return false
	}
	switch string(b[1:]) {
	case "CD001", "BEA01", "NSR02", "NSR03":
		return true
	}
	return false
}

func parseISO(img *image) (Info, error) {
	b := img.at(isoDescriptors, 2048)
	if b == nil {
		return Info{}, malformed(ISO, "volume descriptor cut short")
	}
	info := Info{Format: ISO, Variant: "9660", VirtualSize: img.size, Partitions: partitions(img)}
	if string(b[1:6]) != "CD001" {
		info.Variant = "udf"
		return info, nil
	}
	if b[0] != isoPrimary {
		return info, nil
	}
	le := binary.LittleEndian
	volume := int64(le.Uint32(b[80:])) * int64(le.Uint16(b[128:]))
	info.ClusterSize = int64(le.Uint16(b[128:]))
	if volume > img.size {
		info.Faults = append(info.Faults, "it is cut short")
	}
	return info, nil
}
