// Package moves tries how guests move between two hosts (test/hosts): two bolide processes, each with a libvirtd, a network
// and files of its own, on the embedded control plane and a real broker. It has tests alone.
package moves
