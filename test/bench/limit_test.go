package bench

import (
	"testing"

	"bolide/test/broker"
)

func TestMeasureLimit(t *testing.T) {
	b := broker.Start(t, broker.Options{})
	l, err := MeasureLimit(t.Context(), "amqp://guest:guest@"+b.Addr()+"/", Options{Calls: 100})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Calls{"1 under way": l.One, "32 under way": l.Many} {
		if len(c.Durations) != 100 || c.PerSecond <= 0 {
			t.Errorf("%s: %d calls, %v per second", name, len(c.Durations), c.PerSecond)
		}
	}
}
