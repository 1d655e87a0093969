package agent

import (
	"bolide/agent/config"
)

// reloadables are the options that take effect without a restart: how each is taken over. Operations that run keep what
// they began with.
var reloadables = []func(to, from *config.Config){
	func(to, from *config.Config) { to.Default.MaxConcurrentBuilds = from.Default.MaxConcurrentBuilds },
	func(to, from *config.Config) { to.Default.MaxConcurrentSnapshots = from.Default.MaxConcurrentSnapshots },
	func(to, from *config.Config) {
		to.Default.MaxConcurrentLiveMigrations = from.Default.MaxConcurrentLiveMigrations
	},
	func(to, from *config.Config) { to.Default.VIFPluggingTimeout = from.Default.VIFPluggingTimeout },
	func(to, from *config.Config) { to.Default.VIFPluggingIsFatal = from.Default.VIFPluggingIsFatal },
	func(to, from *config.Config) { to.Default.ShutdownTimeout = from.Default.ShutdownTimeout },
	func(to, from *config.Config) {
		to.Default.GracefulShutdownTimeout = from.Default.GracefulShutdownTimeout
	},
	func(to, from *config.Config) { to.Compute.ShutdownRetryInterval = from.Compute.ShutdownRetryInterval },
	func(to, from *config.Config) { to.Libvirt.WaitSoftReboot = from.Libvirt.WaitSoftReboot },
	func(to, from *config.Config) { to.Libvirt.DeviceDetachAttempts = from.Libvirt.DeviceDetachAttempts },
	func(to, from *config.Config) { to.Libvirt.DeviceDetachTimeout = from.Libvirt.DeviceDetachTimeout },
}

// Reload takes over what may change while the node runs: limits and timeouts. Everything else waits for a restart. It is
// safe for concurrent use.
func (a *Agent) Reload(from *config.Config) {
	to := *a.cfg // its parts are values: a copy shares nothing that is changed here
	for _, take := range reloadables {
		take(&to, from)
	}
	a.reloadable.Store(&to)
	a.builds.SetLimit(to.Default.MaxConcurrentBuilds)
	a.snapshots.SetLimit(to.Default.MaxConcurrentSnapshots)
	a.outgoing.SetLimit(to.Default.MaxConcurrentLiveMigrations)
}

// live is the configuration as it was last read, where that takes effect.
func (a *Agent) live() *config.Config { return a.reloadable.Load() }
