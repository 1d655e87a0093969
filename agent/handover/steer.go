package handover

import "time"

const gib = 1 << 30

// smallest is what a guest's memory or one of its disks counts at least, in GiB: times that options give for each GiB
// would else be nothing for a small guest.
const smallest = 2

// SizeGiB is how much is to be transferred at least: memory in MiB, and the disks that are copied in bytes.
func SizeGiB(memory int64, disks []int64) float64 {
	size := max(smallest, float64(memory)/1024)
	for _, d := range disks {
		size += max(smallest, float64(d)/gib)
	}
	return size
}

// Downtimes say how the time that the guest may stand still at the end grows while the transfer does not end by itself.
type Downtimes struct {
	Longest time.Duration // [libvirt] live_migration_downtime
	Steps   int           // in how many steps it is reached
	Delay   time.Duration // between steps, for each GiB
}

// At is the downtime allowed after so long a transfer of so many GiB; 0: libvirt's own.
func (d Downtimes) At(elapsed time.Duration, sizeGiB float64) time.Duration {
	if d.Steps <= 0 {
		return 0
	}
	delay := time.Duration(float64(d.Delay) * sizeGiB).Truncate(time.Second)
	base := d.Longest / time.Duration(d.Steps)
	offset := (d.Longest - base) / time.Duration(d.Steps)
	var allowed time.Duration
	for i := range d.Steps + 1 {
		if elapsed <= delay*time.Duration(i) {
			break
		}
		allowed = base + offset*time.Duration(i)
	}
	return allowed.Truncate(time.Millisecond)
}

// Reports decides when the progress of a transfer is worth writing to the records of the cloud: at its begin, and then
// when the tenth of it or half a minute has passed.
type Reports struct {
	last    time.Time
	percent int
}

const (
	reportEvery = 30 * time.Second
	reportSteps = 10 // percent
)

// Due says whether the progress is to be reported now, and remembers it if so.
func (r *Reports) Due(now time.Time, percent int) bool {
	moved := percent - r.percent
	if !r.last.IsZero() && now.Sub(r.last) < reportEvery && moved < reportSteps {
		return false
	}
	r.last, r.percent = now, percent
	return true
}

// Percent is how much of the memory is at the destination.
func Percent(total, remaining uint64) int {
	if total == 0 {
		return 0
	}
	return 100 - int((min(remaining, total)*100+total/2)/total)
}
