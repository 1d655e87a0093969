// Package nova holds what a compute node must know of Nova to live among its
// services: the versioned objects, the release spoken, the calls to conductor,
// schedulers and other computes, the exceptions, the names of states.
//
// Object is a partial map with a change set. Instance, Flavor, Service,
// Migration and the like are views: structs around an *Object that name its
// fields. Several views of one object are the same object.
//
//	inst.VMState(); inst.Flavor().MemoryMB(); inst.SystemMetadata()   // read
//	inst.SetTaskState(nova.TaskSpawning); inst.Set("progress", 10)     // change
//	o, err := nova.Decode(raw); inst := nova.As[nova.Instance](o)      // from the wire
//	a := nova.NewArgs(r.Args); inst := a.Instance("instance"); a.Err() // from a request
//	s := nova.As[nova.Service](profile.New("Service"))                 // made here
//
// Profile is one release as data, found with Zed or ProfileOf.
//
// Conductor is the typed client of nova-conductor, one value per request:
//
//	c := nova.NewConductor(link, nova.Zed(), host)
//	c = c.With(r.Context)
//	err := c.SaveInstance(ctx, inst, nova.ExpectTask(nova.TaskScheduling, nova.NoTask))
//	if nova.Is(err, "UnexpectedDeletingTaskStateError") { … }
//	inst, err := c.Instance(ctx, uuid, "flavor", "info_cache")
//
// Its calls stand in conductor_*.go by subject. It also tells the schedulers
// (scheduler.go) and gives builds and moves back (compute_task.go).
// ComputeClient calls the compute services of other hosts.
//
// Error is an exception by its class, raised here or received; Is compares by
// class and its parents, FaultMessage and FaultCode are what users see of any
// error.
//
// The package starts no goroutines.
package nova
