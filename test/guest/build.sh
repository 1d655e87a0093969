#!/bin/sh
# Builds the guest's disk: Debian's kernel and busybox, booted by syslinux from a
# FAT file system. usage: build.sh SOURCE-DIRECTORY KERNEL-DIRECTORY OUT.qcow2
# where the kernel's package is unpacked in KERNEL-DIRECTORY.
set -eu
source=$1 kernel=$2 out=$3
release=$(ls "$kernel/lib/modules")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# The root file system, unpacked into memory by the kernel.
mkdir -p "$root/bin" "$root/lib/modules" "$root/dev" "$root/proc" "$root/sys" "$root/mnt" "$root/tmp" "$root/etc"
cp "$(command -v busybox)" "$root/bin/busybox"
for name in $("$root/bin/busybox" --list); do
	[ "$name" = busybox ] || ln -s busybox "$root/bin/$name"
done
install -m 755 "$source/init" "$root/init"
install -m 755 "$source/lease" "$source/agent" "$root/etc/"

# Modules, numbered in an order in which insmod can load them; what the kernel
# has built in, or lacks, is left out.
number=100
for module in virtio_pci virtio_blk virtio_net virtio_scsi virtio_console ata_piix ahci sd_mod sr_mod isofs vfat nls_cp437 nls_ascii evdev button shpchp; do
	modprobe --dirname "$kernel" --set-version "$release" --show-depends "$module" 2>/dev/null | while read -r verb file _; do
		[ "$verb" = insmod ] || continue
		echo "$file"
	done
done | awk '!seen[$0]++' >"$work/modules"
while read -r file; do
	number=$((number + 1))
	name=$(basename "$file")
	case $file in
	*.xz) xz -dc "$file" >"$root/lib/modules/$number-${name%.xz}" ;;
	*.zst) zstd -qdc "$file" >"$root/lib/modules/$number-${name%.zst}" ;;
	*) cp "$file" "$root/lib/modules/$number-$name" ;;
	esac
done <"$work/modules"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd"

# The disk.
cat >"$work/syslinux.cfg" <<'CFG'
DEFAULT guest
PROMPT 0
TIMEOUT 1
LABEL guest
 KERNEL vmlinuz
 APPEND initrd=initrd console=ttyS0 panic=-1 quiet
CFG
disk=$work/disk
truncate -s 48M "$disk"
mkfs.vfat -n GUEST "$disk" >/dev/null
cp "$kernel/boot/vmlinuz-$release" "$work/vmlinuz"
mcopy -i "$disk" "$work/vmlinuz" "$work/initrd" "$work/syslinux.cfg" ::/
syslinux --install "$disk"
qemu-img convert -f raw -O qcow2 "$disk" "$out"
