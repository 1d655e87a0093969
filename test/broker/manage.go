package broker

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// DeleteQueue removes a queue under its consumers.
func (b *Broker) DeleteQueue(name string) error {
	c, err := b.Dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	_, err = ch.QueueDelete(name, false, false, false)
	return err
}

// Queues are the names of all queues.
func (b *Broker) Queues() ([]string, error) {
	listed, err := b.Eval(`lists:foldl(fun(Q, All) -> {resource, _, queue, Name} = amqqueue:get_name(Q), All ++ binary_to_list(Name) ++ " " end,
		"", rabbit_amqqueue:list())`)
	if err != nil {
		return nil, err
	}
	return strings.Fields(strings.Trim(listed, `"`)), nil
}

// CloseConnections closes every client connection from the broker's side.
func (b *Broker) CloseConnections() error {
	_, err := b.Eval(`[catch rabbit_networking:close_connection(P, "closed by the test") || P <- rabbit_networking:connections()], ok`)
	return err
}

// CancelConsumers takes the consumers of a queue away without a word to them
// and without deleting the queue, as a broker bug would.
func (b *Broker) CancelConsumers(queue string) error {
	_, err := b.Eval(fmt.Sprintf(`Q = rabbit_misc:r(<<"/">>, queue, %s),
		{ok, A} = rabbit_amqqueue:lookup(Q),
		[ok = gen_server2:call(amqqueue:get_pid(A), {basic_cancel, element(1, C), element(2, C), undefined, <<"test">>})
			|| C <- rabbit_amqqueue:consumers(A)], ok`, binary(queue)))
	return err
}

// RaiseMemoryAlarm makes the broker block publishers; ClearMemoryAlarm ends it.
func (b *Broker) RaiseMemoryAlarm() error {
	_, err := b.Eval(`rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []}), ok`)
	return err
}

// ClearMemoryAlarm undoes RaiseMemoryAlarm.
func (b *Broker) ClearMemoryAlarm() error {
	_, err := b.Eval(`rabbit_alarm:clear_alarm({resource_limit, memory, node()}), ok`)
	return err
}

// Eval evaluates an Erlang expression inside the broker, much quicker than
// rabbitmqctl would, and returns its value as Erlang prints it.
func (b *Broker) Eval(expr string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "erl_call", "-sname", b.node, "-c", b.cookie, "-e")
	cmd.Env = b.env()
	cmd.Stdin = strings.NewReader(expr + ".\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %w: %s", cmd.Args, err, bytes.TrimSpace(out))
	}
	value, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "{ok, ")
	if !ok {
		return "", fmt.Errorf("evaluate %s: %s", expr, bytes.TrimSpace(out))
	}
	return strings.TrimSuffix(value, "}"), nil
}

// binary writes a Go string as an Erlang binary.
func binary(s string) string {
	return `<<"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `">>`
}
