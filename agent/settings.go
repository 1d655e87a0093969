package agent

import (
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent/cloud"
	"bolide/agent/config"
	"bolide/agent/remote"
	"bolide/agent/resources"
	"bolide/agent/trace"
	"bolide/netplug"
	"bolide/rpc"
)

// This file is the one place where options of nova.conf become options of the rooms.

func rpcOptions(c *config.Config, log *logrus.Entry) rpc.Options {
	o := rpc.DefaultOptions()
	o.TransportURL, o.ControlExchange = c.Default.TransportURL, c.Default.ControlExchange
	o.Host, o.Log = c.Default.Host, log
	o.Workers = c.Default.ExecutorThreadPoolSize
	o.ResponseTimeout, o.LongTimeout = c.Default.RPCResponseTimeout, c.Default.LongRPCTimeout
	o.PingEnabled = c.Default.RPCPingEnabled

	r := c.Rabbit
	o.Durable, o.AutoDelete, o.HAQueues = r.AMQPDurableQueues, r.AMQPAutoDelete, r.RabbitHAQueues
	o.QuorumQueue, o.TransientQuorumQueue = r.RabbitQuorumQueue, r.RabbitTransientQuorumQueue
	o.QuorumDeliveryLimit = r.RabbitQuorumDeliveryLimit
	o.QuorumMaxMemoryLength, o.QuorumMaxMemoryBytes = r.RabbitQuorumMaxMemoryLength, r.RabbitQuorumMaxMemoryBytes
	o.StreamFanout, o.UseQueueManager = r.RabbitStreamFanout, r.UseQueueManager
	o.TransientQueuesTTL, o.CancelOnFailover = r.RabbitTransientQueuesTTL, r.EnableCancelOnFailover
	o.PrefetchCount = r.RabbitQOSPrefetchCount
	o.LoginMethod, o.HeartbeatThreshold = r.RabbitLoginMethod, r.HeartbeatTimeoutThreshold
	o.ReconnectInterval = r.RabbitRetryInterval
	o.ReconnectMax = min(o.ReconnectMax, max(r.RabbitIntervalMax, time.Second)) // sooner than Nova's 30 s, unless sooner yet is asked for
	if r.UseQueueManager {
		o.ProcessName = r.Processname // a part of the queues' names
	}
	o.ReconnectDelay, o.MissingConsumerRetry = r.KombuReconnectDelay, r.KombuMissingConsumerRetryTimeout
	o.SSL, o.SSLVersion = r.SSL, r.SSLVersion
	o.SSLCAFile, o.SSLCertFile, o.SSLKeyFile = r.SSLCAFile, r.SSLCertFile, r.SSLKeyFile
	o.SSLEnforceHostname = r.SSLEnforceHostnameVerification
	return o
}

func traceOptions(c *config.Config, log *logrus.Entry) trace.Options {
	return trace.Options{
		Endpoint: c.Bolide.TraceEndpoint, Headers: c.Bolide.TraceHeaders,
		Host: c.Default.Host, Version: version(), Release: c.Bolide.Release, Log: log,
	}
}

func cloudOptions(c *config.Config, log *logrus.Entry) cloud.Options {
	image := serviceOptions(c.Glance.Auth)
	image.Endpoint.Servers, image.Retries = c.Glance.APIServers, retries(c.Glance.NumRetries)
	network := serviceOptions(c.Neutron.Auth)
	network.Retries = retries(c.Neutron.HTTPRetries)
	volume := serviceOptions(c.Cinder.Auth)
	volume.Retries = retries(c.Cinder.HTTPRetries)
	locateVolumes(&volume.Endpoint, c.Cinder)
	key := cloud.ServiceOptions{
		Auth: cloud.Auth{CAFile: c.Barbican.VerifySSLPath, Insecure: !c.Barbican.VerifySSL},
		Endpoint: cloud.Endpoint{
			Override: c.Barbican.Endpoint, Interfaces: []string{c.Barbican.EndpointType}, Region: c.Barbican.RegionName,
		},
	}
	return cloud.Options{
		Image: image, Network: network, Placement: serviceOptions(c.Placement.Auth), Volume: volume, Key: key,
		ServiceUser:   cloud.ServiceUser{Auth: credentials(c.ServiceUser.Auth), SendToken: c.ServiceUser.SendServiceUserToken},
		ExtensionSync: c.Neutron.ExtensionSyncInterval,
		Log:           log,
	}
}

// locateVolumes reads catalog_info, "type:name:interfaceURL".
func locateVolumes(e *cloud.Endpoint, c config.Cinder) {
	if parts := strings.Split(c.CatalogInfo, ":"); len(parts) == 3 {
		e.ServiceType, e.ServiceName = parts[0], parts[1]
		e.Interfaces = []string{strings.TrimSuffix(parts[2], "URL")}
	}
	if c.EndpointTemplate != "" {
		e.Override = c.EndpointTemplate
	}
	if c.OSRegionName != "" {
		e.Region = c.OSRegionName
	}
}

// retries tells "none" from "the default", which is what 0 means to the room.
func retries(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func serviceOptions(a config.Auth) cloud.ServiceOptions {
	return cloud.ServiceOptions{
		Auth: credentials(a),
		Endpoint: cloud.Endpoint{
			ServiceType: a.ServiceType, ServiceName: a.ServiceName, Region: a.RegionName,
			Interfaces: a.ValidInterfaces, Override: a.EndpointOverride,
		},
		Timeout: a.Timeout,
	}
}

func credentials(a config.Auth) cloud.Auth {
	return cloud.Auth{
		AuthType: a.AuthType, AuthURL: a.AuthURL,
		Username: a.Username, UserID: a.UserID, Password: a.Password,
		UserDomainName: a.UserDomainName, UserDomainID: a.UserDomainID,
		ProjectName: a.ProjectName, ProjectID: a.ProjectID,
		ProjectDomainName: a.ProjectDomainName, ProjectDomainID: a.ProjectDomainID,
		DomainName: a.DomainName, DomainID: a.DomainID,
		DefaultDomainName: a.DefaultDomainName, DefaultDomainID: a.DefaultDomainID,
		TrustID: a.TrustID, SystemScope: a.SystemScope,
		ApplicationCredentialID: a.ApplicationCredentialID, ApplicationCredentialName: a.ApplicationCredentialName,
		ApplicationCredentialSecret: a.ApplicationCredentialSecret,
		CAFile:                      a.CAFile, CertFile: a.CertFile, KeyFile: a.KeyFile,
		Insecure: a.Insecure, Timeout: a.Timeout,
	}
}

func plugOptions(c *config.Config, log *logrus.Entry) netplug.Options {
	return netplug.Options{
		OVS: netplug.OVSOptions{
			Connection: c.OVS.OVSDBConnection, Timeout: c.OVS.OVSVsctlTimeout, MTU: c.OVS.NetworkDeviceMTU,
			Isolate: c.OVS.IsolateVIF, PerPortBridge: c.OVS.PerPortBridge,
			TLS: netplug.TLSFiles{CA: c.Bolide.OVSDBCAFile, Cert: c.Bolide.OVSDBCertFile, Key: c.Bolide.OVSDBKeyFile},
		},
		Forwarding: netplug.ForwardingOptions{
			IPv6: c.LinuxBridge.UseIPv6, Interfaces: c.LinuxBridge.ForwardBridgeInterface, Drop: c.LinuxBridge.IptablesDropAction,
		},
		Log: log,
	}
}

func resourceOptions(c *config.Config) resources.Options {
	d := c.Default
	return resources.Options{
		Host:             d.Host,
		NameTemplate:     d.InstanceNameTemplate,
		ReservedMemoryMB: int64(d.ReservedHostMemoryMB),
		ReservedCPUs:     int64(d.ReservedHostCPUs),
		ReservedDiskMB:   int64(d.ReservedHostDiskMB),
		PackNUMA:         c.Compute.PackingHostNUMACellsAllocationStrategy,
		CountImageCache:  c.Workarounds.ReserveDiskResourceForImageCache,
		Ratios:           resources.Ratios{CPU: orZero(d.CPUAllocationRatio), RAM: orZero(d.RAMAllocationRatio), Disk: orZero(d.DiskAllocationRatio)},
		InitialRatios:    resources.Ratios{CPU: d.InitialCPUAllocationRatio, RAM: d.InitialRAMAllocationRatio, Disk: d.InitialDiskAllocationRatio},
		Refresh:          c.Compute.ResourceProviderAssociationRefresh,
	}
}

func remoteOptions(c *config.Config) remote.Options {
	return remote.Options{Transport: c.Libvirt.RemoteFilesystemTransport, Bandwidth: c.Bolide.MoveBandwidth << 20}
}

func orZero(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}
