// Package ground is a real OpenStack to try a compute node on: MariaDB,
// RabbitMQ, Keystone, Glance, Placement, Neutron and Nova's controllers, from
// Debian's packages, on the loopback of a network namespace of its own.
//
// The whole cloud lives in namespaces (network, mounts, processes, host name,
// IPC). In there it finds Debian's usual paths and ports, so its configuration
// reads like any other host's; outside, nothing is touched: no port is opened,
// no system service is used or disturbed, no link or domain appears. When the
// first process in there ends, the kernel ends all the others and forgets the
// mounts. What remains is the working directory with logs and configuration.
//
// The program that uses this package runs itself again to get inside; see
// package enclave. Mount is the set-up there, and Up is for the inside.
//
// The program needs root and the Debian packages that `make deps-openstack`
// installs. It needs neither systemd nor an outside network.
package ground

// BrokerURL is where the cloud's RabbitMQ answers, inside.
const BrokerURL = "amqp://openstack:cloud@127.0.0.1:5672/"

// HostName is the name of the only host in there.
const HostName = "node1"

// LogDir is where every service's log is, inside; outside it is "log" in the
// working directory.
const LogDir = "/var/log"
