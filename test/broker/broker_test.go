package broker

import (
	"os"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestBrokerLifeCycle(t *testing.T) {
	b := Start(t, Options{})
	publish := func() {
		t.Helper()
		c, err := b.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ch, err := c.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ch.QueueDeclare("q", false, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := ch.Publish("", "q", true, false, amqp.Publishing{Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := ch.Get("q", true); err != nil || !ok {
			t.Fatalf("get: %v, %v", ok, err)
		}
	}
	publish()
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	publish()
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Dial(); err == nil {
		t.Fatal("the killed broker answers")
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	publish()

	c, err := b.Dial()
	if err != nil {
		t.Fatal(err)
	}
	closed := c.NotifyClose(make(chan *amqp.Error, 1))
	if err := b.CloseConnections(); err != nil {
		t.Fatal(err)
	}
	if e := <-closed; e == nil || !strings.Contains(e.Reason, "closed by the test") {
		t.Fatalf("close reason %v", e)
	}

	dir := b.dir
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Fatalf("directory left behind: %v", err)
	}
}
