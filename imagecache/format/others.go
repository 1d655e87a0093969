package format

// Formats that QEMU's probing would open and that nothing here needs to understand.

func matchParallels(img *image) bool {
	return img.has(0, "WithoutFreeSpace") || img.has(0, "WithouFreSpacExt")
}

func matchBochs(img *image) bool { return img.has(0, "Bochs Virtual HD Image") }

func matchCloop(img *image) bool {
	return img.has(0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop")
}
