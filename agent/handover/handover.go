// Package handover is what the two hosts of a live migration tell each other and make of it: which ports and disks the
// destination needs, what the guest's description must say there, and how the transfer is steered. Everything here is
// computed from its arguments; nothing is read or changed but the files that [Disks] is told to look at.
package handover
