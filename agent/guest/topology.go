package guest

import (
	"cmp"
	"slices"

	"bolide/rpc/nova"
)

// shape is a count of sockets, cores in each and threads in each core.
type shape struct {
	Sockets, Cores, Threads int
}

func (s shape) exceeds(limit shape) bool {
	return s.Sockets > limit.Sockets || s.Cores > limit.Cores || s.Threads > limit.Threads
}

// matches counts in how many ways s is what is wanted.
func (s shape) matches(want shape) int {
	n := 0
	for _, same := range []bool{
		want.Sockets != 0 && s.Sockets == want.Sockets,
		want.Cores != 0 && s.Cores == want.Cores,
		want.Threads != 0 && s.Threads == want.Threads,
	} {
		if same {
			n++
		}
	}
	return n
}

// noLimit is Nova's bound on sockets, cores and threads where none is asked for.
const noLimit = 65536

// bestTopology shapes vcpus as the flavor or the image prefers, within the limits that they set. Where that leaves a
// choice, few threads go before many sockets.
func bestTopology(vcpus int, w wishes) (shape, error) {
	want, limit, err := wantedTopology(w)
	if err != nil {
		return shape{}, err
	}
	possible := possibleTopologies(vcpus, limit)
	if len(possible) == 0 {
		return shape{}, nova.NewError("ImageVCPULimitsRangeImpossible", map[string]any{
			"vcpus": vcpus, "sockets": min(vcpus, limit.Sockets), "cores": min(vcpus, limit.Cores), "threads": min(vcpus, limit.Threads),
		})
	}
	slices.SortStableFunc(possible, func(a, b shape) int { return cmp.Compare(b.matches(want), a.matches(want)) })
	return possible[0], nil
}

// possibleTopologies are all that give vcpus within limit, the most sockets and cores first.
func possibleTopologies(vcpus int, limit shape) []shape {
	var out []shape
	for sockets := 1; sockets <= min(vcpus, limit.Sockets); sockets++ {
		if vcpus%sockets != 0 {
			continue
		}
		perSocket := vcpus / sockets
		for cores := 1; cores <= min(perSocket, limit.Cores); cores++ {
			if perSocket%cores == 0 && perSocket/cores <= limit.Threads {
				out = append(out, shape{sockets, cores, perSocket / cores})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b shape) int {
		return cmp.Or(
			cmp.Compare(b.Sockets*b.Cores, a.Sockets*a.Cores),
			cmp.Compare(b.Sockets, a.Sockets),
			cmp.Compare(b.Threads, a.Threads))
	})
	return out
}

// wantedTopology is the preferred shape and the limits. An image may only lower the limits of the flavor.
func wantedTopology(w wishes) (want, limit shape, err error) {
	flavorMax, imageMax, err := w.shapes("cpu_max_")
	if err != nil {
		return want, limit, err
	}
	for _, pair := range [][2]int{{flavorMax.Sockets, imageMax.Sockets}, {flavorMax.Cores, imageMax.Cores}, {flavorMax.Threads, imageMax.Threads}} {
		if pair[0] != 0 && pair[1] > pair[0] {
			return want, limit, nova.NewError("ImageVCPULimitsRangeExceeded", map[string]any{
				"image_sockets": imageMax.Sockets, "image_cores": imageMax.Cores, "image_threads": imageMax.Threads,
				"flavor_sockets": flavorMax.Sockets, "flavor_cores": flavorMax.Cores, "flavor_threads": flavorMax.Threads,
			})
		}
	}
	limit = shape{
		cmp.Or(imageMax.Sockets, flavorMax.Sockets, noLimit),
		cmp.Or(imageMax.Cores, flavorMax.Cores, noLimit),
		cmp.Or(imageMax.Threads, flavorMax.Threads, noLimit),
	}
	flavor, image, err := w.shapes("cpu_")
	if err != nil {
		return want, limit, err
	}
	if image.exceeds(limit) {
		return want, limit, nova.NewError("ImageVCPUTopologyRangeExceeded", map[string]any{
			"image_sockets": image.Sockets, "image_cores": image.Cores, "image_threads": image.Threads,
			"max_sockets": limit.Sockets, "max_cores": limit.Cores, "max_threads": limit.Threads,
		})
	}
	if flavor.exceeds(limit) {
		flavor = shape{} // the image's limits overrule it
	}
	return cmp.Or(image, flavor), limit, nil
}

// shapes reads the three numbers that the flavor and the image give under a prefix.
func (w wishes) shapes(prefix string) (flavor, image shape, err error) {
	for _, part := range []struct {
		key           string
		flavor, image *int
	}{
		{"sockets", &flavor.Sockets, &image.Sockets}, {"cores", &flavor.Cores, &image.Cores}, {"threads", &flavor.Threads, &image.Threads},
	} {
		if *part.flavor, err = w.specInt("hw:" + prefix + part.key); err != nil {
			return flavor, image, err
		}
		*part.image = int(w.props.Int("hw_" + prefix + part.key))
	}
	return flavor, image, nil
}
