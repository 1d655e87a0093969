package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent/config"
)

func TestTextFormat(t *testing.T) {
	at := time.Date(2026, 11, 21, 18, 19, 30, 323e6, time.FixedZone("CET", 2*3600))
	for name, tt := range map[string]struct {
		level logrus.Level
		msg   string
		data  logrus.Fields
		want  string
	}{
		"plain": {logrus.InfoLevel, "serving", nil,
			"2026-11-21 16:19:30.323 4242 INFO bolide [-] serving\n"},
		"of an operation": {logrus.InfoLevel, "operation done",
			logrus.Fields{"part": "amqp", "request_id": "req-1", "instance": "i1", "op": "reboot_instance", "dur": "1.2s"},
			"2026-11-21 16:19:30.323 4242 INFO bolide.amqp [req-1] [instance: i1] operation done dur=1.2s op=reboot_instance\n"},
		"with an error": {logrus.ErrorLevel, "operation failed", logrus.Fields{"error": errors.New("plug tap1: no such device\nreally"), "step": "plug"},
			"2026-11-21 16:19:30.323 4242 ERROR bolide [-] operation failed step=plug: plug tap1: no such device\\nreally\n"},
		"words quoted": {logrus.WarnLevel, "odd", logrus.Fields{"a": "", "b": "x y", "c": "k=v", "d": "\x1b[2J", "request_id": "a b"},
			"2026-11-21 16:19:30.323 4242 WARNING bolide [\"a b\"] odd a=\"\" b=\"x y\" c=\"k=v\" d=\"\\x1b[2J\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &logrus.Entry{Logger: logrus.New(), Time: at, Level: tt.level, Message: tt.msg, Data: tt.data}
			got, err := (&textFormatter{pid: 4242}).Format(e)
			if err != nil || string(got) != tt.want {
				t.Errorf("got  %s want %s %v", got, tt.want, err)
			}
		})
	}
}

func TestJSONFormat(t *testing.T) {
	var out bytes.Buffer
	log, _, err := newLogger(&config.Logging{UseJSON: true}, &out)
	if err != nil {
		t.Fatal(err)
	}
	log.WithField("instance", "i1").WithTime(time.Date(2026, 11, 21, 18, 0, 0, 0, time.FixedZone("CET", 2*3600))).Info("done")
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["msg"] != "done" || got["instance"] != "i1" || got["time"] != "2026-11-21T16:00:00Z" || got["level"] != "info" {
		t.Errorf("got %v", got)
	}
}

func TestLogFile(t *testing.T) {
	for name, tt := range map[string]struct {
		c    config.Logging
		want string
	}{
		"none":           {config.Logging{}, ""},
		"a file":         {config.Logging{LogFile: "x.log"}, "x.log"},
		"a directory":    {config.Logging{LogDir: "/d"}, "/d/bolide.log"},
		"both":           {config.Logging{LogDir: "/d", LogFile: "x.log"}, "/d/x.log"},
		"absolute alone": {config.Logging{LogDir: "/d", LogFile: "/e/x.log"}, "/e/x.log"},
	} {
		if got := logFile(&tt.c); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestLogFileIsOpenedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	var stderr bytes.Buffer
	log, reopen, err := newLogger(&config.Logging{LogFile: path, UseStderr: true}, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("one")
	log.Debug("not at this level")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("two")
	for file, want := range map[string]string{path + ".1": "one", path: "two"} {
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
	if n := strings.Count(stderr.String(), "\n"); n != 2 {
		t.Errorf("%d lines on standard error, want 2", n)
	}
	if _, _, err := newLogger(&config.Logging{LogFile: "/nonexistent/x.log"}, &stderr); err == nil {
		t.Error("a log file that cannot be made")
	}
}
