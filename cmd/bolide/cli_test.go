package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"bolide/agent/config"
	"bolide/agent/status"
)

var update = flag.Bool("update", false, "write golden files and scripts anew")

// TestMain lets the scripts call "bolide", which is this binary, and "node",
// which serves a sample node's socket.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"bolide": main,
		"node":   serveSample,
		// stands for the agent that Bolide takes the place of, until it is ended
		"nova-compute": func() { time.Sleep(time.Hour) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"await": await,
		},
	})
}

// Every verb, but its aliases, is run by some script on the program itself.
func TestEveryVerbHasAScript(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var scripts []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, b...)
	}
	var verbs int
	var look func(*cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		if !c.Runnable() || !c.HasParent() {
			return
		}
		verbs++
		run := regexp.MustCompile(`(?m)^(exec|exits [0-9]+) ` + c.CommandPath() + `( |$)`)
		if !run.Match(scripts) {
			t.Errorf("no script runs %q", c.CommandPath())
		}
	}
	look((&app{}).rootCommand())
	if verbs < 20 {
		t.Errorf("only %d verbs", verbs)
	}
}

// exits runs a program and wants an exit code: exits CODE PROGRAM ARG…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// await waits until a node answers on a socket.
func await(ts *testscript.TestScript, neg bool, args []string) {
	c := status.NewClient(ts.MkAbs(args[0]))
	for deadline := time.Now().Add(20 * time.Second); ; {
		var l status.LogLevel
		err := c.Get(context.Background(), "/v1/log-level", &l)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// serveSample serves the sample node on the socket that is its argument, until
// it is told to stop. A second argument "unwell" takes its broker away.
func serveSample() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	cfg, _, err := config.Load(config.Options{Sources: config.Files(os.Args[2]), SearchDirs: []string{}, Hostname: "node-1", MyIP: "192.0.2.7"})
	if err != nil {
		panic(err)
	}
	board, _ := sampleBoard()
	node := &sampleNode{sampleSource: sampleSource{unwell: len(os.Args) > 3}}
	log := logrus.New()
	s, err := status.NewServer(status.Options{
		Path: os.Args[1], Source: node, Board: board, Images: sampleImages{}, Config: cfg, Log: logrus.NewEntry(log),
		Guests: sampleGuests{}, Drainer: node, Audit: sampleAudit, Levels: newLevels(log, []string{"amqp", "images"}),
		Reload: func() error {
			_, _, err := config.Load(config.Options{Sources: []config.Source{{File: os.Args[2]}}})
			return err
		},
	})
	if err != nil {
		panic(err)
	}
	if err := s.Run(ctx); err != nil {
		panic(err)
	}
}
