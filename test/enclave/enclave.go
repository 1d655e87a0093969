// Package enclave runs a program in namespaces of its own: network, mounts,
// processes, host name and IPC. Outside, nothing is touched: no port is opened,
// no system service is used or disturbed, no link or domain appears. When the
// first process in there ends, the kernel ends all the others and forgets the
// mounts and links. What remains is the working directory.
//
// The program runs itself again to get inside:
//
//	outside  Enter  takes the working directory, starts itself in new namespaces
//	init     Init   process 1 in there: sets up, collects orphans
//	inside          the program does its work
//
//	func main() {
//		if enclave.CurrentStage() == enclave.AsInit {
//			enclave.Init(setup)
//		}
//		…
//	}
//
// Another run of the program gets into an enclave that is up with Join. It all
// needs root, and nsenter for Join.
package enclave

import (
	"os"
	"path/filepath"
)

// Stage says where in its life this process is.
type Stage string

// The stages, in their order.
const (
	Outside Stage = ""       // in the host's namespaces
	AsInit  Stage = "init"   // process 1 of the new ones, before the set-up
	Inside  Stage = "inside" // in the new ones, ready to work
)

const (
	stageVar = "ENCLAVE_STAGE"
	dirVar   = "ENCLAVE_DIR"
)

// CurrentStage returns this process's stage.
func CurrentStage() Stage { return Stage(os.Getenv(stageVar)) }

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

// CurrentDir returns the working directory of the enclave that this process is
// in.
func CurrentDir() Dir { return Dir(os.Getenv(dirVar)) }
