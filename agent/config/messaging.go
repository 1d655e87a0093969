package config

import "time"

// Rabbit is [oslo_messaging_rabbit]. Options in the query of transport_url
// come before these.
type Rabbit struct {
	Queues
	Link
	TLS
}

// Queues decides the arguments that queues and exchanges are declared with.
// They must be what all of Nova uses, or the broker refuses them.
type Queues struct {
	// AMQPDurableQueues makes topic queues durable. Default false.
	AMQPDurableQueues bool `ini:"amqp_durable_queues" default:"false"`
	// AMQPAutoDelete deletes unused topic queues. Default false.
	AMQPAutoDelete bool `ini:"amqp_auto_delete" default:"false" old:"DEFAULT.amqp_auto_delete"`
	// RabbitHAQueues mirrors them (RabbitMQ before 3.0). Default false.
	RabbitHAQueues bool `ini:"rabbit_ha_queues" default:"false" old:"DEFAULT.rabbit_ha_queues"`
	// RabbitQuorumQueue makes topic queues quorum queues. Default false.
	RabbitQuorumQueue bool `ini:"rabbit_quorum_queue" default:"false"`
	// RabbitTransientQuorumQueue does so with reply and fanout queues. Default false.
	RabbitTransientQuorumQueue bool `ini:"rabbit_transient_quorum_queue" default:"false"`
	// RabbitQuorumDeliveryLimit is x-delivery-limit; 0 = none. Default 0.
	RabbitQuorumDeliveryLimit int `ini:"rabbit_quorum_delivery_limit" default:"0"`
	// RabbitQuorumMaxMemoryLength is x-max-in-memory-length; 0 = none. Default
	// 0. Zed only knows it misspelt, as "quroum".
	RabbitQuorumMaxMemoryLength int `ini:"rabbit_quorum_max_memory_length" default:"0" old:"rabbit_quroum_max_memory_length"`
	// RabbitQuorumMaxMemoryBytes is x-max-in-memory-bytes; 0 = none. Default 0.
	RabbitQuorumMaxMemoryBytes int `ini:"rabbit_quorum_max_memory_bytes" default:"0" old:"rabbit_quroum_max_memory_bytes"`
	// RabbitTransientQueuesTTL deletes unused reply and fanout queues; 0 =
	// never. Unit s, default 1800.
	RabbitTransientQueuesTTL time.Duration `ini:"rabbit_transient_queues_ttl" default:"1800" min:"0"`
	// RabbitStreamFanout makes fanout queues one stream. Default false.
	RabbitStreamFanout bool `ini:"rabbit_stream_fanout" default:"false"`
	// UseQueueManager gives queues names that last. Default false.
	UseQueueManager bool `ini:"use_queue_manager" default:"false"`
	// Hostname and Processname are in those names. Default: this host's and
	// nova-compute.
	Hostname    string `ini:"hostname"`
	Processname string `ini:"processname" default:"nova-compute"`
}

// Link is how the connection is kept.
type Link struct {
	// RabbitQOSPrefetchCount bounds unacknowledged messages; 0 = no bound. Default 0.
	RabbitQOSPrefetchCount int `ini:"rabbit_qos_prefetch_count" default:"0" min:"0"`
	// HeartbeatTimeoutThreshold finds a dead peer; 0 = off. Unit s, default 60.
	HeartbeatTimeoutThreshold time.Duration `ini:"heartbeat_timeout_threshold" default:"60" min:"0"`
	// HeartbeatRate is how often within that. Default 2 (2024.1: 3).
	HeartbeatRate int `ini:"heartbeat_rate" default:"2" later:"2024.1=3" min:"1" unused:"this; half of heartbeat_timeout_threshold is what AMQP says"`
	// RabbitRetryInterval is before the second attempt to connect. Unit s, default 1.
	RabbitRetryInterval time.Duration `ini:"rabbit_retry_interval" default:"1" min:"0"`
	// RabbitRetryBackoff is added after each. Unit s, default 2.
	RabbitRetryBackoff time.Duration `ini:"rabbit_retry_backoff" default:"2" min:"0" old:"DEFAULT.rabbit_retry_backoff" unused:"this; the wait doubles"`
	// RabbitIntervalMax bounds it. Unit s, default 30.
	RabbitIntervalMax time.Duration `ini:"rabbit_interval_max" default:"30" min:"0"`
	// KombuReconnectDelay is before reconnecting after a loss. Unit s
	// (fractions allowed), default 1.
	KombuReconnectDelay time.Duration `ini:"kombu_reconnect_delay" default:"1.0" kind:"float" min:"0" max:"4.5" old:"DEFAULT.kombu_reconnect_delay"`
	// KombuReconnectSplay adds up to this at random. Unit s (fractions
	// allowed), default 0.
	KombuReconnectSplay time.Duration `ini:"kombu_reconnect_splay" default:"0.0" kind:"float" min:"0" unused:"this; every wait is random"`
	// KombuMissingConsumerRetryTimeout is how long a reply to a vanished queue
	// is tried. Unit s, default 60.
	KombuMissingConsumerRetryTimeout time.Duration `ini:"kombu_missing_consumer_retry_timeout" default:"60" min:"0" old:"kombu_reconnect_timeout"`
	// KombuFailoverStrategy picks the next broker. Default round-robin.
	KombuFailoverStrategy string `ini:"kombu_failover_strategy" default:"round-robin" choices:"round-robin,shuffle" unused:"this; brokers take turns in random order"`
	// KombuCompression compresses bodies: gzip or bz2. Default: unset.
	KombuCompression string `ini:"kombu_compression" unused:"compressing what it sends; it reads what others compress"`
	// RabbitLoginMethod is SASL's. Default AMQPLAIN.
	RabbitLoginMethod string `ini:"rabbit_login_method" default:"AMQPLAIN" choices:"PLAIN,AMQPLAIN,EXTERNAL,RABBIT-CR-DEMO" old:"DEFAULT.rabbit_login_method"`
	// DirectMandatoryFlag sends replies as mandatory. Default true.
	DirectMandatoryFlag bool `ini:"direct_mandatory_flag" default:"true" unused:"replies to queues that are gone"`
	// EnableCancelOnFailover asks for x-cancel-on-ha-failover. Default false.
	EnableCancelOnFailover bool `ini:"enable_cancel_on_failover" default:"false"`
}

// TLS is the connection's encryption.
type TLS struct {
	// SSL encrypts. Default false.
	SSL bool `ini:"ssl" default:"false" old:"rabbit_use_ssl"`
	// SSLVersion is the lowest: TLSv1_2 … Default: unset.
	SSLVersion string `ini:"ssl_version" old:"kombu_ssl_version"`
	// SSLKeyFile, SSLCertFile and SSLCAFile are PEM files. Default: unset.
	SSLKeyFile  string `ini:"ssl_key_file" old:"kombu_ssl_keyfile"`
	SSLCertFile string `ini:"ssl_cert_file" old:"kombu_ssl_certfile"`
	SSLCAFile   string `ini:"ssl_ca_file" old:"kombu_ssl_ca_certs"`
	// SSLEnforceFIPSMode demands a FIPS library. Default false.
	SSLEnforceFIPSMode bool `ini:"ssl_enforce_fips_mode" default:"false"`
	// SSLEnforceHostnameVerification checks the broker's name. Default false.
	SSLEnforceHostnameVerification bool `ini:"ssl_enforce_hostname_verification" default:"false"`
}

// Notifier is [oslo_messaging_notifications].
type Notifier struct {
	// Driver sends notifications: messagingv2, noop … Default: none.
	Driver []string `ini:"driver" kind:"multi" old:"DEFAULT.notification_driver"`
	// TransportURL is their broker. Default: RPC's.
	TransportURL string `ini:"transport_url" secret:"url" old:"DEFAULT.notification_transport_url"`
	// Topics are their queues. Default notifications.
	Topics []string `ini:"topics" default:"notifications" old:"rpc_notifier2.topics,DEFAULT.notification_topics"`
	// Retry bounds sending one; -1 = for ever. Default -1.
	Retry int `ini:"retry" default:"-1"`
}

// Notifications is [notifications].
type Notifications struct {
	// NotificationFormat is which kind is sent. Default unversioned.
	NotificationFormat string `ini:"notification_format" default:"unversioned" choices:"both,versioned,unversioned" old:"DEFAULT.notification_format"`
	// VersionedNotificationsTopics are their queues. Default versioned_notifications.
	VersionedNotificationsTopics []string `ini:"versioned_notifications_topics" default:"versioned_notifications"`
	// BDMsInNotifications adds block devices. Default false.
	BDMsInNotifications bool `ini:"bdms_in_notifications" default:"false"`
}
