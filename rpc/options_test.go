package rpc

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sirupsen/logrus"
)

func TestParseTransportURL(t *testing.T) {
	host := func(host, port, user, password string) brokerHost { return brokerHost{host, port, user, password} }
	for _, c := range []struct {
		url   string
		hosts []brokerHost
		vhost string
		query map[string]string
		err   string
	}{
		{url: "rabbit://u:p@h:5673/v", hosts: []brokerHost{host("h", "5673", "u", "p")}, vhost: "v"},
		{url: "rabbit://", hosts: []brokerHost{host("localhost", "5672", "guest", "guest")}, vhost: "/"},
		{url: "rabbit://h", hosts: []brokerHost{host("h", "5672", "guest", "guest")}, vhost: "/"},
		{url: "rabbit://h/", hosts: []brokerHost{host("h", "5672", "guest", "guest")}, vhost: "/"},
		{url: "rabbit://h//", hosts: []brokerHost{host("h", "5672", "guest", "guest")}, vhost: "/"},
		{url: "rabbit://h/%2Fv", hosts: []brokerHost{host("h", "5672", "guest", "guest")}, vhost: "/v"},
		{url: "rabbit://u:p%40%3A%2f@h:/", hosts: []brokerHost{host("h", "5672", "u", "p@:/")}, vhost: "/"},
		{url: "rabbit://u@d:p@h/", hosts: []brokerHost{host("h", "5672", "u@d", "p")}, vhost: "/"},
		{url: "rabbit://u:100%zz@h/", hosts: []brokerHost{host("h", "5672", "u", "100%zz")}, vhost: "/"},
		{url: "rabbit://a:b@h1:1,c:d@h2,h3:3/v?ssl=1&ssl_ca_file=%2Fx", vhost: "v", query: map[string]string{"ssl": "1", "ssl_ca_file": "/x"},
			hosts: []brokerHost{host("h1", "1", "a", "b"), host("h2", "5672", "c", "d"), host("h3", "3", "guest", "guest")}},
		{url: "rabbit://u:p@[::1]:5671,[fe80::2]/", hosts: []brokerHost{host("::1", "5671", "u", "p"), host("fe80::2", "5672", "guest", "guest")}, vhost: "/"},
		{url: "kombu+rabbit://h/", hosts: []brokerHost{host("h", "5672", "guest", "guest")}, vhost: "/"},
		{url: "h:5672", err: "no scheme"},
		{url: "", err: "no scheme"},
		{url: "kafka://h/", err: `scheme "kafka" is not supported`},
		{url: "rabbit://u:secret@h:x/", err: `port "x" is not a port number`},
		{url: "rabbit://u:secret@h:0/", err: "not a port number"},
		{url: "rabbit://u:secret@h:65536/", err: "not a port number"},
		{url: "rabbit://u:secret@[::1/", err: "no closing bracket"},
		{url: "rabbit://h/?a=%zz", err: "query"},
	} {
		t.Run(c.url, func(t *testing.T) {
			u, err := parseTransportURL(c.url)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("error %v, want %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.query == nil {
				c.query = map[string]string{}
			}
			if !slices.Equal(u.hosts, c.hosts) || u.vhost != c.vhost || !cmp.Equal(u.query, c.query) {
				t.Errorf("got %+v", u)
			}
		})
	}
}

func FuzzTransportURL(f *testing.F) {
	for _, s := range []string{"rabbit://u:p@h1:1,[::1]:2,h3/v%2f?ssl=1", "rabbit://", "rabbit://@:@/?", "rabbit://%41%:[@/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseTransportURL(s)
		if err != nil {
			return
		}
		if len(u.hosts) == 0 || u.vhost == "" {
			t.Fatalf("got %+v", u)
		}
		for _, h := range u.hosts {
			if h.port == "" {
				t.Errorf("no port: %+v", h)
			}
		}
		o := DefaultOptions()
		if o.override(u.query) == nil && o.TransientQueuesTTL < 0 {
			t.Errorf("options %+v", o)
		}
	})
}

func TestOptions(t *testing.T) {
	valid := func() Options {
		o := DefaultOptions()
		o.TransportURL, o.Host, o.Log = "rabbit://", "h", logrus.NewEntry(logrus.New())
		return o
	}
	if _, err := NewLink(valid()); err != nil {
		t.Fatalf("defaults: %v", err)
	}

	o := valid()
	o.TransportURL = "rabbit://h/?rabbit_quorum_queue=yes&rabbit_transient_queues_ttl=60&kombu_reconnect_delay=0.5&ssl_version=TLSv1_2&rabbit_qos_prefetch_count=7&no_such_option=x"
	l, err := NewLink(o)
	if err != nil {
		t.Fatal(err)
	}
	if !l.o.QuorumQueue || l.o.TransientQueuesTTL != time.Minute || l.o.ReconnectDelay != 500*time.Millisecond || l.o.SSLVersion != "TLSv1_2" || l.o.PrefetchCount != 7 {
		t.Errorf("the query of the URL does not count: %+v", l.o)
	}

	o = Options{TransportURL: "rabbit://h/?ssl=maybe&rabbit_qos_prefetch_count=many&rabbit_interval_max=-1"}
	o.QuorumQueue, o.HAQueues, o.StreamFanout, o.LoginMethod, o.SSLVersion = true, true, true, "NTLM", "SSLv3"
	_, err = NewLink(o)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`option ssl = "maybe": not a boolean`, `option rabbit_qos_prefetch_count = "many": not an integer`,
		`option rabbit_interval_max = "-1": not a number of seconds`,
		"no logger", "no host name", "control_exchange is empty", "executor_thread_pool_size is 0", "rpc_response_timeout is 0s", "long_rpc_timeout is 0s",
		"rabbit_quorum_queue and rabbit_ha_queues are both set", "rabbit_stream_fanout needs rabbit_transient_quorum_queue",
		"rabbit_stream_fanout needs rabbit_qos_prefetch_count above 0", `rabbit_login_method "NTLM"`, `ssl_version "SSLv3"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("errors do not say %q:\n%v", want, err)
		}
	}
}

// TestTopology holds the declarations of oslo.messaging for each option.
func TestTopology(t *testing.T) {
	for _, c := range []struct {
		name                 string
		change               func(*Options)
		topic, reply, fanout queue
	}{
		{
			name: "default", change: func(*Options) {},
			topic: queue{name: "t", key: "t", exchange: exchange{name: "nova", kind: "topic"}, args: amqp.Table{}},
			reply: queue{name: "reply_1", args: amqp.Table{"x-expires": int64(1800000)}, ours: true},
			fanout: queue{name: "t_fanout_1", key: "t", exchange: exchange{name: "t_fanout", kind: "fanout", autoDelete: true},
				args: amqp.Table{"x-expires": int64(1800000)}, deleteAtStop: true},
		},
		{
			name: "durable, auto delete, mirrored, no expiry",
			change: func(o *Options) {
				o.Durable, o.AutoDelete, o.HAQueues, o.TransientQueuesTTL, o.CancelOnFailover = true, true, true, 0, true
			},
			topic: queue{name: "t", key: "t", exchange: exchange{name: "nova", kind: "topic", durable: true, autoDelete: true},
				durable: true, autoDelete: true, args: amqp.Table{"x-ha-policy": "all"}, consumerArgs: amqp.Table{"x-cancel-on-ha-failover": true}},
			reply: queue{name: "reply_1", args: amqp.Table{"x-ha-policy": "all"}, consumerArgs: amqp.Table{"x-cancel-on-ha-failover": true}, ours: true},
			fanout: queue{name: "t_fanout_1", key: "t", exchange: exchange{name: "t_fanout", kind: "fanout", autoDelete: true},
				args: amqp.Table{"x-ha-policy": "all"}, consumerArgs: amqp.Table{"x-cancel-on-ha-failover": true}, deleteAtStop: true},
		},
		{
			name: "quorum",
			change: func(o *Options) {
				o.QuorumQueue, o.QuorumDeliveryLimit, o.QuorumMaxMemoryLength, o.QuorumMaxMemoryBytes = true, 3, 4, 5
			},
			topic: queue{name: "t", key: "t", exchange: exchange{name: "nova", kind: "topic", durable: true}, durable: true,
				args: amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int64(3), "x-max-in-memory-length": int64(4), "x-max-in-memory-bytes": int64(5)}},
			reply: queue{name: "reply_1", args: amqp.Table{"x-expires": int64(1800000)}, ours: true},
			fanout: queue{name: "t_fanout_1", key: "t", exchange: exchange{name: "t_fanout", kind: "fanout", autoDelete: true},
				args: amqp.Table{"x-expires": int64(1800000)}, deleteAtStop: true},
		},
		{
			name:   "transient quorum with stable names",
			change: func(o *Options) { o.TransientQuorumQueue, o.UseQueueManager = true, true },
			topic:  queue{name: "t", key: "t", exchange: exchange{name: "nova", kind: "topic"}, args: amqp.Table{}},
			reply:  queue{name: "reply_1", durable: true, args: amqp.Table{"x-queue-type": "quorum", "x-expires": int64(1800000)}, ours: true},
			fanout: queue{name: "t_fanout_1", key: "t", exchange: exchange{name: "t_fanout", kind: "fanout", durable: true, autoDelete: true},
				durable: true, args: amqp.Table{"x-queue-type": "quorum", "x-expires": int64(1800000)}},
		},
		{
			name:   "stream",
			change: func(o *Options) { o.TransientQuorumQueue, o.StreamFanout, o.PrefetchCount = true, true, 10 },
			topic:  queue{name: "t", key: "t", exchange: exchange{name: "nova", kind: "topic"}, args: amqp.Table{}},
			reply:  queue{name: "reply_1", durable: true, args: amqp.Table{"x-queue-type": "quorum", "x-expires": int64(1800000)}, ours: true},
			fanout: queue{name: "t_fanout", key: "t", exchange: exchange{name: "t_fanout", kind: "fanout", durable: true, autoDelete: true},
				durable: true, args: amqp.Table{"x-queue-type": "stream", "x-max-age": "1800s"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := DefaultOptions()
			c.change(&o)
			all := cmp.AllowUnexported(queue{}, exchange{})
			if diff := cmp.Diff(c.topic, o.topicQueue("t"), all); diff != "" {
				t.Errorf("topic (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(c.reply, o.replyQueue("reply_1"), all); diff != "" {
				t.Errorf("reply (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(c.fanout, o.fanoutQueue("t", "t_fanout_1"), all); diff != "" {
				t.Errorf("fanout (-want +got)\n%s", diff)
			}
		})
	}
}

// TestQueueNames wants them to differ within a process, and with the queue
// manager to be the same in the next one.
func TestQueueNames(t *testing.T) {
	names := func(manager bool) []string {
		o := DefaultOptions()
		o.TransportURL, o.Host, o.Log = "rabbit://", "h1", logrus.NewEntry(logrus.New())
		o.ProcessName, o.UseQueueManager = "bolide", manager
		l, err := NewLink(o)
		if err != nil {
			t.Fatal(err)
		}
		s := l.Serve("compute")
		return []string{l.replies.queue.name, s.subs[0].queue.name, s.subs[1].queue.name, s.subs[2].queue.name}
	}
	if got := names(true); !slices.Equal(got, []string{"reply_h1:bolide:1", "compute", "compute.h1", "compute_fanout_h1:bolide:2"}) {
		t.Errorf("with queue manager: %q", got)
	}
	one, two := names(false), names(false)
	if one[0] == two[0] || one[3] == two[3] || len(one[0]) != len("reply_")+32 || len(one[3]) != len("compute_fanout_")+32 {
		t.Errorf("without: %q, %q", one, two)
	}
}

// TestKindsOfQueue runs a call and a fanout over each kind on a real broker.
func TestKindsOfQueue(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"durable":          func(o *Options) { o.Durable = true },
		"auto delete":      func(o *Options) { o.AutoDelete = true },
		"quorum":           func(o *Options) { o.QuorumQueue, o.QuorumDeliveryLimit = true, 5 },
		"transient quorum": func(o *Options) { o.QuorumQueue, o.TransientQuorumQueue, o.UseQueueManager = true, true, true },
		"stream":           func(o *Options) { o.TransientQuorumQueue, o.StreamFanout, o.PrefetchCount = true, true, 10 },
		"no expiry":        func(o *Options) { o.TransientQueuesTTL = 0 },
		"prefetch":         func(o *Options) { o.PrefetchCount = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			topic := "topic-" + newHexID()
			n := run(t, func(o *Options) {
				o.ControlExchange = "exchange-" + newHexID()
				o.ProofInterval = 100 * time.Millisecond
				change(o)
			})
			n.Serve(topic, echo).Start()
			n.up(t)
			ctx := within(t, 20*time.Second)
			for range 3 { // more than the prefetch count
				if _, err := n.Call(ctx, AdminContext(), Target{Topic: topic, Server: n.o.Host, Version: "6.0"}, "echo", map[string]any{"value": 1}); err != nil {
					t.Fatal(err)
				}
				if err := n.Cast(ctx, AdminContext(), Target{Topic: topic, Fanout: true, Version: "6.9"}, "echo", nil); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "three casts", func() bool {
				return strings.Count(strings.Join(n.logged(logrus.WarnLevel), "\n"), "Refused a request") == 3
			})
			eventually(t, "a proof", func() bool { return !n.State().LastSuccess.IsZero() })
			if s := n.State(); s.Reconnects != 0 {
				t.Errorf("state %+v", s)
			}
		})
	}
}
