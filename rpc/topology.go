package rpc

import (
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/sirupsen/logrus"
)

// exchange is an exchange as we declare it. The default exchange has no name
// and is never declared.
type exchange struct {
	name, kind          string
	durable, autoDelete bool
}

// queue is a queue that we consume, and how it hangs on its exchange.
type queue struct {
	name                string
	exchange            exchange
	key                 string // binding key
	durable, autoDelete bool
	args                amqp.Table
	consumerArgs        amqp.Table
	ours                bool // nobody else consumes it
	deleteAtStop        bool
}

// topicExchange is the exchange of calls and casts.
func (o *Options) topicExchange(name string) exchange {
	return exchange{name, "topic", o.Durable || o.QuorumQueue, o.AutoDelete}
}

// fanoutExchange is the exchange of casts to every server of a topic.
func (o *Options) fanoutExchange(topic string) exchange {
	return exchange{topic + "_fanout", "fanout", o.TransientQuorumQueue, true}
}

// topicQueue is the queue of a topic, shared by its servers.
func (o *Options) topicQueue(key string) queue {
	return queue{
		name: key, exchange: o.topicExchange(o.ControlExchange), key: key,
		durable: o.Durable || o.QuorumQueue, autoDelete: o.AutoDelete,
		args: o.queueArgs(o.QuorumQueue, 0), consumerArgs: o.consumerArgs(),
	}
}

// serverQueue is the queue of one server of a topic.
func (o *Options) serverQueue(t Target) queue {
	q := o.topicQueue(t.routingKey())
	q.ours = true
	return q
}

// replyQueue is the one queue of this process for answers, on the default exchange.
func (o *Options) replyQueue(name string) queue {
	return queue{
		name: name, durable: o.TransientQuorumQueue, ours: true,
		args: o.queueArgs(o.TransientQuorumQueue, o.TransientQueuesTTL), consumerArgs: o.consumerArgs(),
	}
}

// fanoutQueue is this process' queue for casts to every server of a topic.
func (o *Options) fanoutQueue(topic, name string) queue {
	q := queue{
		name: name, exchange: o.fanoutExchange(topic), key: topic,
		durable: o.TransientQuorumQueue,
		args:    o.queueArgs(o.TransientQuorumQueue, o.TransientQueuesTTL), consumerArgs: o.consumerArgs(),
		deleteAtStop: !o.UseQueueManager,
	}
	if o.StreamFanout {
		q.name, q.deleteAtStop = topic+"_fanout", false // one stream for all servers
		q.args = amqp.Table{"x-queue-type": "stream"}
		if o.TransientQueuesTTL > 0 {
			q.args["x-max-age"] = fmt.Sprintf("%ds", int64(o.TransientQueuesTTL/time.Second))
		}
	}
	return q
}

// queueArgs are the arguments of oslo.messaging; ttl 0 sets no x-expires.
func (o *Options) queueArgs(quorum bool, ttl time.Duration) amqp.Table {
	args := amqp.Table{}
	if o.HAQueues {
		args["x-ha-policy"] = "all"
	}
	if quorum {
		args["x-queue-type"] = "quorum"
		setPositive(args, "x-delivery-limit", o.QuorumDeliveryLimit)
		setPositive(args, "x-max-in-memory-length", o.QuorumMaxMemoryLength)
		setPositive(args, "x-max-in-memory-bytes", o.QuorumMaxMemoryBytes)
	}
	setPositive(args, "x-expires", int(ttl/time.Millisecond))
	return args
}

func (o *Options) consumerArgs() amqp.Table {
	if !o.CancelOnFailover {
		return nil
	}
	return amqp.Table{"x-cancel-on-ha-failover": true}
}

func setPositive(args amqp.Table, name string, n int) {
	if n > 0 {
		args[name] = int64(n)
	}
}

// declarer declares exchanges and queues on one connection. The broker answers
// a declaration it does not like by closing the channel, so these are the
// declarer's own.
//
// What exists with other properties is used as it is, with one warning: a node
// that consumes from a queue that somebody else made durable does its work, one
// that insists on its own configuration is deaf.
type declarer struct {
	conn *amqp.Connection
	log  *logrus.Entry
	ch   *amqp.Channel // nil if there is none
}

func (d *declarer) exchange(e exchange) error {
	if e.name == "" {
		return nil
	}
	return d.orAsItIs("exchange "+e.name,
		func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare(e.name, e.kind, e.durable, e.autoDelete, false, false, nil)
		},
		func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(e.name, e.kind, e.durable, e.autoDelete, false, false, nil)
		})
}

func (d *declarer) queue(q queue) error {
	if err := d.exchange(q.exchange); err != nil {
		return err
	}
	err := d.orAsItIs("queue "+q.name,
		func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(q.name, q.durable, q.autoDelete, false, false, q.args)
			return err
		},
		func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(q.name, q.durable, q.autoDelete, false, false, q.args)
			return err
		})
	if err != nil || q.exchange.name == "" {
		return err
	}
	return d.on("bind queue "+q.name, func(ch *amqp.Channel) error {
		return ch.QueueBind(q.name, q.key, q.exchange.name, false, nil)
	})
}

func (d *declarer) orAsItIs(what string, declare, inspect func(*amqp.Channel) error) error {
	err := d.on("declare "+what, declare)
	if !isPreconditionFailed(err) {
		return err
	}
	if d.on("inspect "+what, inspect) != nil {
		return err
	}
	d.log.WithError(err).Warn("The broker has this with other properties than configured, using it as it is; compare amqp_durable_queues and the rabbit_* options of all services")
	return nil
}

// on runs f on a channel that works.
func (d *declarer) on(what string, f func(*amqp.Channel) error) error {
	ch, err := d.channel()
	if err == nil {
		err = f(ch)
	}
	if err != nil {
		d.close()
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// channel returns the channel in use, or a new one.
func (d *declarer) channel() (*amqp.Channel, error) {
	if d.ch != nil {
		return d.ch, nil
	}
	var err error
	d.ch, err = d.conn.Channel()
	return d.ch, err
}

func (d *declarer) close() {
	if d.ch != nil {
		d.ch.Close() // an error means that the broker has closed it
		d.ch = nil
	}
}

func isPreconditionFailed(err error) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Code == amqp.PreconditionFailed
}
