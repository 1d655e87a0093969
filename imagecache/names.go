package imagecache

import "regexp"

var (
	imagePattern     = regexp.MustCompile(`^[0-9a-f]{40}$`)
	resizedPattern   = regexp.MustCompile(`^[0-9a-f]{40}_.+$`) // _<GiB>, or _sm of the oldest releases
	ephemeralPattern = regexp.MustCompile(`^ephemeral_[0-9]+_[0-9a-f]{7}(-[a-z0-9]+)?$`)
	swapPattern      = regexp.MustCompile(`^swap_[0-9]+$`)
)

// imageName reports whether a name is an image's.
func imageName(name string) bool { return imagePattern.MatchString(name) }

// cacheName reports whether a name is one that this cache or Nova's would give a file that disks rest on.
func cacheName(name string) bool {
	return imageName(name) || resizedPattern.MatchString(name) || ephemeralPattern.MatchString(name) ||
		swapPattern.MatchString(name)
}
