package rpc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// Options of a Link. Start from DefaultOptions: a zero value means zero, not
// "the default". Names in parentheses are the options of nova.conf; those of
// [oslo_messaging_rabbit] can also be given in the query of the transport URL,
// which wins.
type Options struct {
	// TransportURL is where the brokers are (transport_url), as
	// rabbit://user:pass@h1:5672,user:pass@h2:5672/vhost?option=value. Required.
	TransportURL string
	// ControlExchange is the exchange of topics (control_exchange). Default "nova".
	ControlExchange string
	// Host is the name of this node (host), the part after the dot in the name
	// of its own queue. Required.
	Host string
	// ProcessName is what connections are called, and with UseQueueManager a
	// part of queue names. Default the name of the program.
	ProcessName string
	// ServiceName is what the baseapi ping answers as. Default "compute".
	ServiceName string
	// Workers bounds the requests handled at a time (executor_thread_pool_size). Default 64.
	Workers int
	// ResponseTimeout is how long a call waits (rpc_response_timeout). Default 60 s.
	ResponseTimeout time.Duration
	// LongTimeout is how long a monitored call may take in all (long_rpc_timeout). Default 1800 s.
	LongTimeout time.Duration
	// PingEnabled serves oslo_rpc_server_ping (rpc_ping_enabled). Default false.
	PingEnabled bool
	// ProofInterval is the time between two proofs that our queues work end to
	// end; 0 proves nothing. Default 30 s.
	ProofInterval time.Duration

	// SendOnly opens no queue for answers: such a link cannot call. It is for
	// notifications that go to a broker of their own. Default false.
	SendOnly bool

	// Durable makes topic exchanges and queues survive the broker
	// (amqp_durable_queues). Default false.
	Durable bool
	// AutoDelete lets the broker delete topic exchanges and queues that nobody
	// uses (amqp_auto_delete). Default false.
	AutoDelete bool
	// HAQueues asks for mirrored queues (rabbit_ha_queues). Default false.
	HAQueues bool
	// QuorumQueue makes topic queues quorum queues (rabbit_quorum_queue). Default false.
	QuorumQueue bool
	// QuorumDeliveryLimit is x-delivery-limit (rabbit_quorum_delivery_limit); 0 sets none.
	QuorumDeliveryLimit int
	// QuorumMaxMemoryLength is x-max-in-memory-length in messages
	// (rabbit_quorum_max_memory_length, once misspelt quroum); 0 sets none.
	QuorumMaxMemoryLength int
	// QuorumMaxMemoryBytes is x-max-in-memory-bytes
	// (rabbit_quorum_max_memory_bytes, once misspelt quroum); 0 sets none.
	QuorumMaxMemoryBytes int
	// TransientQuorumQueue makes reply and fanout queues quorum queues
	// (rabbit_transient_quorum_queue). Default false.
	TransientQuorumQueue bool
	// StreamFanout makes fanout queues streams (rabbit_stream_fanout). It needs
	// TransientQuorumQueue and PrefetchCount. Default false.
	StreamFanout bool
	// UseQueueManager gives reply and fanout queues names that stay the same
	// over restarts (use_queue_manager). Default false.
	UseQueueManager bool
	// TransientQueuesTTL is the time after which the broker deletes an unused
	// reply or fanout queue (rabbit_transient_queues_ttl); 0 is never. Default 1800 s.
	TransientQueuesTTL time.Duration
	// CancelOnFailover asks the broker to cancel consumers when a mirrored
	// queue moves (enable_cancel_on_failover). Default false.
	CancelOnFailover bool
	// PrefetchCount bounds unacknowledged deliveries per queue
	// (rabbit_qos_prefetch_count); 0 is no bound. Default 0.
	PrefetchCount int

	// LoginMethod is PLAIN, AMQPLAIN or EXTERNAL (rabbit_login_method). Default AMQPLAIN.
	LoginMethod string
	// HeartbeatThreshold is the AMQP heartbeat (heartbeat_timeout_threshold);
	// 0 leaves it to the broker. Default 60 s.
	HeartbeatThreshold time.Duration
	// ReconnectInterval bounds the wait before the first attempt to reconnect
	// (rabbit_retry_interval). Default 1 s.
	ReconnectInterval time.Duration
	// ReconnectMax bounds the later waits (rabbit_interval_max). Default 10 s,
	// less than the 30 s of oslo.messaging: an attempt at a dead broker costs it
	// nothing, and a node shall consume again within 10 s of its return.
	ReconnectMax time.Duration
	// ReconnectDelay bounds the wait before a lost queue is declared again
	// (kombu_reconnect_delay). Default 1 s.
	ReconnectDelay time.Duration
	// MissingConsumerRetry is how long a reply waits for the caller's queue to
	// come back (kombu_missing_consumer_retry_timeout). Default 60 s.
	MissingConsumerRetry time.Duration

	// SSL speaks TLS (ssl). Default false.
	SSL bool
	// SSLVersion pins a protocol version (ssl_version): TLSv1, TLSv1_1, TLSv1_2;
	// "" and SSLv23 negotiate.
	SSLVersion string
	// SSLCAFile is the authority of the broker's certificate (ssl_ca_file).
	// Without it the certificate is not verified, as in oslo.messaging.
	SSLCAFile string
	// SSLCertFile and SSLKeyFile are the client's certificate (ssl_cert_file, ssl_key_file).
	SSLCertFile, SSLKeyFile string
	// SSLEnforceHostname also verifies the broker's name
	// (ssl_enforce_hostname_verification). Default false.
	SSLEnforceHostname bool

	// Log takes what the link has to say. Required.
	Log *logrus.Entry
}

// DefaultOptions are oslo.messaging's defaults where the field says nothing else.
func DefaultOptions() Options {
	return Options{
		ControlExchange:      "nova",
		ProcessName:          filepath.Base(os.Args[0]),
		ServiceName:          "compute",
		Workers:              64,
		ResponseTimeout:      60 * time.Second,
		LongTimeout:          1800 * time.Second,
		ProofInterval:        30 * time.Second,
		TransientQueuesTTL:   1800 * time.Second,
		LoginMethod:          "AMQPLAIN",
		HeartbeatThreshold:   60 * time.Second,
		ReconnectInterval:    time.Second,
		ReconnectMax:         10 * time.Second,
		ReconnectDelay:       time.Second,
		MissingConsumerRetry: 60 * time.Second,
	}
}

// validate reports everything that is wrong at once.
func (o *Options) validate() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(o.Log == nil, "no logger")
	wrong(o.Host == "", "no host name")
	wrong(o.ControlExchange == "", "control_exchange is empty")
	wrong(o.Workers < 1, "executor_thread_pool_size is %d, must be at least 1", o.Workers)
	wrong(o.ResponseTimeout <= 0, "rpc_response_timeout is %s, must be more than 0", o.ResponseTimeout)
	wrong(o.LongTimeout <= 0, "long_rpc_timeout is %s, must be more than 0", o.LongTimeout)
	wrong(o.QuorumQueue && o.HAQueues, "rabbit_quorum_queue and rabbit_ha_queues are both set: a queue is a quorum queue or mirrored, not both")
	wrong(o.StreamFanout && !o.TransientQuorumQueue, "rabbit_stream_fanout needs rabbit_transient_quorum_queue")
	wrong(o.StreamFanout && o.PrefetchCount <= 0, "rabbit_stream_fanout needs rabbit_qos_prefetch_count above 0")
	wrong(o.PrefetchCount < 0, "rabbit_qos_prefetch_count is %d, must not be negative", o.PrefetchCount)
	wrong(o.ReconnectInterval <= 0, "rabbit_retry_interval is %s, must be more than 0", o.ReconnectInterval)
	wrong(o.ReconnectMax <= 0, "rabbit_interval_max is %s, must be more than 0", o.ReconnectMax)
	if _, err := o.saslMechanism("", ""); err != nil {
		errs = append(errs, err)
	}
	if _, err := tlsVersion(o.SSLVersion); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// override applies the options in the query of a transport URL.
func (o *Options) override(query map[string]string) error {
	var errs []error
	for name, value := range query {
		set, known := urlOptions[name]
		if !known {
			continue // oslo.messaging ignores it, too
		}
		if err := set(o, value); err != nil {
			errs = append(errs, fmt.Errorf("transport_url: option %s = %q: %w", name, value, err))
		}
	}
	return errors.Join(errs...)
}

// urlOptions are the options of [oslo_messaging_rabbit] that a transport URL can override.
var urlOptions = map[string]func(*Options, string) error{
	"amqp_durable_queues":                  boolOption(func(o *Options) *bool { return &o.Durable }),
	"amqp_auto_delete":                     boolOption(func(o *Options) *bool { return &o.AutoDelete }),
	"rabbit_ha_queues":                     boolOption(func(o *Options) *bool { return &o.HAQueues }),
	"rabbit_quorum_queue":                  boolOption(func(o *Options) *bool { return &o.QuorumQueue }),
	"rabbit_quorum_delivery_limit":         intOption(func(o *Options) *int { return &o.QuorumDeliveryLimit }),
	"rabbit_quroum_max_memory_length":      intOption(func(o *Options) *int { return &o.QuorumMaxMemoryLength }),
	"rabbit_quorum_max_memory_length":      intOption(func(o *Options) *int { return &o.QuorumMaxMemoryLength }),
	"rabbit_quroum_max_memory_bytes":       intOption(func(o *Options) *int { return &o.QuorumMaxMemoryBytes }),
	"rabbit_quorum_max_memory_bytes":       intOption(func(o *Options) *int { return &o.QuorumMaxMemoryBytes }),
	"rabbit_transient_quorum_queue":        boolOption(func(o *Options) *bool { return &o.TransientQuorumQueue }),
	"rabbit_stream_fanout":                 boolOption(func(o *Options) *bool { return &o.StreamFanout }),
	"use_queue_manager":                    boolOption(func(o *Options) *bool { return &o.UseQueueManager }),
	"rabbit_transient_queues_ttl":          secondsOption(func(o *Options) *time.Duration { return &o.TransientQueuesTTL }),
	"enable_cancel_on_failover":            boolOption(func(o *Options) *bool { return &o.CancelOnFailover }),
	"rabbit_qos_prefetch_count":            intOption(func(o *Options) *int { return &o.PrefetchCount }),
	"rabbit_login_method":                  textOption(func(o *Options) *string { return &o.LoginMethod }),
	"heartbeat_timeout_threshold":          secondsOption(func(o *Options) *time.Duration { return &o.HeartbeatThreshold }),
	"rabbit_retry_interval":                secondsOption(func(o *Options) *time.Duration { return &o.ReconnectInterval }),
	"rabbit_interval_max":                  secondsOption(func(o *Options) *time.Duration { return &o.ReconnectMax }),
	"kombu_reconnect_delay":                secondsOption(func(o *Options) *time.Duration { return &o.ReconnectDelay }),
	"kombu_missing_consumer_retry_timeout": secondsOption(func(o *Options) *time.Duration { return &o.MissingConsumerRetry }),
	"ssl":                                  boolOption(func(o *Options) *bool { return &o.SSL }),
	"ssl_version":                          textOption(func(o *Options) *string { return &o.SSLVersion }),
	"ssl_ca_file":                          textOption(func(o *Options) *string { return &o.SSLCAFile }),
	"ssl_cert_file":                        textOption(func(o *Options) *string { return &o.SSLCertFile }),
	"ssl_key_file":                         textOption(func(o *Options) *string { return &o.SSLKeyFile }),
	"ssl_enforce_hostname_verification":    boolOption(func(o *Options) *bool { return &o.SSLEnforceHostname }),
}

func textOption(field func(*Options) *string) func(*Options, string) error {
	return func(o *Options, s string) error {
		*field(o) = s
		return nil
	}
}

// boolOption takes the words that oslo.config takes.
func boolOption(field func(*Options) *bool) func(*Options, string) error {
	return func(o *Options, s string) error {
		switch strings.ToLower(s) {
		case "true", "1", "on", "yes":
			*field(o) = true
		case "false", "0", "off", "no":
			*field(o) = false
		default:
			return errors.New("not a boolean")
		}
		return nil
	}
}

func intOption(field func(*Options) *int) func(*Options, string) error {
	return func(o *Options, s string) error {
		n, err := strconv.Atoi(s)
		if err != nil {
			return errors.New("not an integer")
		}
		*field(o) = n
		return nil
	}
}

func secondsOption(field func(*Options) *time.Duration) func(*Options, string) error {
	const limit = float64(1<<62) / float64(time.Second)
	return func(o *Options, s string) error {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n >= 0 && n < limit) {
			return errors.New("not a number of seconds")
		}
		*field(o) = time.Duration(n * float64(time.Second))
		return nil
	}
}
