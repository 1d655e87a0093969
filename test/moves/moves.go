// Package moves tries how guests move between two hosts: two bolide processes, each with a libvirtd and files of its own, on
// the embedded control plane and a real broker. It has tests alone.
//
// The hosts differ in their mounts and names, not in their network; so the guests have no ports. Those are for
// test/openstack, with hosts that are apart in everything.
package moves
