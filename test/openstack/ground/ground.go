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
// The program that uses this package runs itself again to get inside:
//
//	outside  Enter     takes the working directory, starts itself in new namespaces
//	init     Init      process 1 in there: makes the mounts, collects orphans
//	inside   Up        starts the services; then the program does its work
//
// The program needs root and the Debian packages that `make deps-openstack`
// installs. It needs neither systemd nor an outside network.
package ground

import (
	"os"
	"path/filepath"
)

// Stage says where in its life this process is.
type Stage string

// The stages, in their order.
const (
	Outside Stage = ""       // in the host's namespaces
	AsInit  Stage = "init"   // process 1 of the new ones, before the mounts
	Inside  Stage = "inside" // in the new ones, ready to work
)

const (
	stageVar = "CLOUD_STAGE"
	dirVar   = "CLOUD_DIR"
)

// CurrentStage returns this process's stage.
func CurrentStage() Stage { return Stage(os.Getenv(stageVar)) }

// BrokerURL is where the cloud's RabbitMQ answers, inside.
const BrokerURL = "amqp://openstack:cloud@127.0.0.1:5672/"

// HostName is the name of the only host in there.
const HostName = "node1"

// LogDir is where every service's log is, inside; outside it is "log" in the
// working directory.
const LogDir = "/var/log"

// Dir is a working directory: what survives the namespaces.
type Dir string

// state files of the directory.
func (d Dir) lock() string  { return filepath.Join(string(d), "lock") }
func (d Dir) pid() string   { return filepath.Join(string(d), "init.pid") }
func (d Dir) ready() string { return filepath.Join(string(d), "ready") }

// Log returns the path of a service's log as seen from outside.
func (d Dir) Log(service string) string {
	return filepath.Join(string(d), "log", service+".log")
}

// CurrentDir returns the working directory of the cloud that this process is in.
func CurrentDir() Dir { return Dir(os.Getenv(dirVar)) }
