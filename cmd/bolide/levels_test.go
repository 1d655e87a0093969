package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"bolide/agent/config"
)

func TestLevelsByRoom(t *testing.T) {
	var out bytes.Buffer
	log, _, err := newLogger(&config.Logging{}, &out)
	if err != nil {
		t.Fatal(err)
	}
	l := newLevels(log, []string{"amqp", "images"})
	logged := func() string {
		out.Reset()
		for _, room := range []string{"amqp", "images"} {
			log.WithField("part", room).Debug("debug")
			log.WithField("part", room).Info("info")
		}
		log.Debug("debug")
		log.Info("info")
		var got []string
		for line := range strings.Lines(out.String()) {
			words := strings.Fields(line)
			got = append(got, words[4]+" "+words[6])
		}
		return strings.Join(got, ", ")
	}
	for _, tt := range []struct {
		room  string
		level logrus.Level
		want  string
	}{
		{"", logrus.InfoLevel, "bolide.amqp info, bolide.images info, bolide info"},
		{"amqp", logrus.DebugLevel, "bolide.amqp debug, bolide.amqp info, bolide.images info, bolide info"},
		{"images", logrus.ErrorLevel, "bolide.amqp debug, bolide.amqp info, bolide info"},
		{"", logrus.WarnLevel, ""},
		{"", logrus.DebugLevel, "bolide.amqp debug, bolide.amqp info, bolide.images debug, bolide.images info, bolide debug, bolide info"},
	} {
		l.SetLevel(tt.room, tt.level)
		if got := logged(); got != tt.want {
			t.Errorf("after %q at %s: %s, want %s", tt.room, tt.level, got, tt.want)
		}
	}
}
