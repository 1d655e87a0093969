package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

// askTimeout bounds one question to the daemon, which answers from memory.
const askTimeout = 10 * time.Second

func (a *app) addJSON(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
}

// ask gets path from the daemon. With --json the answer is printed as it is
// and printed tells so.
func (a *app) ask(ctx context.Context, path string, out any) (printed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if !a.json {
		return false, noDaemon(status.NewClient(a.socketPath()).Get(ctx, path, out))
	}
	body, err := status.NewClient(a.socketPath()).Open(ctx, "GET", path, nil)
	if err != nil {
		return true, noDaemon(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return true, err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		return true, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := a.out.Write(pretty.Bytes()); err != nil {
		return true, err
	}
	return true, json.Unmarshal(text, out)
}

// noDaemon gives an error of the connection its exit code; what the daemon
// itself answered is an ordinary failure.
func noDaemon(err error) error {
	var refused *status.APIError
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return &exitError{exitNoDaemon, err}
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
