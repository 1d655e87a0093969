package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) imagesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List the image cache and what is being fetched",
		Args:  cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			var list status.ImageList
			printed, err := a.ask(cmd.Context(), "/v1/images", &list)
			if err == nil && !printed {
				printImages(a.out, a.style(time.Now()), &list)
			}
			return err
		}),
	}
	a.addJSON(cmd)
	cmd.AddCommand(a.imagesVerifyCommand(), a.imagesPruneCommand())
	return cmd
}

func (a *app) imagesVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [IMAGE]",
		Short: "Read the cached images again and compare them with what was fetched",
		Long: `Reads one cached image, or all, to its end and compares it with what was
fetched. Exit code 1 when one is damaged or cannot be read.`,
		Args: cobra.MaximumNArgs(1),
		RunE: action(func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			var in status.ImageName
			if len(args) == 1 {
				in.Name = args[0]
			}
			return a.verifyImages(ctx, in)
		}),
	}
	a.addJSON(cmd)
	return cmd
}

func (a *app) verifyImages(ctx context.Context, in status.ImageName) error {
	body, err := a.post(ctx, "/v1/images/verify", in)
	if err != nil {
		return err
	}
	defer body.Close()
	bad := 0
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		var c status.ImageCheck
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		if c.Result == status.ImageDamaged || c.Result == status.ImageUnread {
			bad++
		}
		if a.json {
			fmt.Fprintln(a.out, lines.Text())
			continue
		}
		if c.Result != "" {
			printCheck(a.out, a.style(time.Now()), &c)
		}
	}
	switch {
	case lines.Err() != nil:
		return lines.Err()
	case bad > 0:
		return fmt.Errorf("%d of the cached images cannot be trusted", bad)
	}
	return nil
}

func (a *app) imagesPruneCommand() *cobra.Command {
	var in status.PruneRequest
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove cached images that nothing uses and that are old enough",
		Long: `Removes what the image cache would remove at its next ageing: what no disk, no
build and no instance of the control plane uses, for longer than [image_cache]
says. It asks the control plane, and removes nothing when that does not answer.`,
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			body, err := a.post(cmd.Context(), "/v1/images/prune", in)
			if err != nil {
				return err
			}
			defer body.Close()
			var result status.PruneResult
			if err := json.NewDecoder(body).Decode(&result); err != nil {
				return fmt.Errorf("answer: %w", err)
			}
			if a.json {
				return a.printJSON(result)
			}
			printPruned(a.out, a.style(time.Now()), in, &result)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&in.DryRun, "dry-run", false, "only say what would be removed")
	cmd.Flags().BoolVar(&in.All, "all", false, "whatever nothing uses, however young")
	a.addJSON(cmd)
	return cmd
}

// post sends in to the daemon, which may take its time to answer.
func (a *app) post(ctx context.Context, path string, in any) (io.ReadCloser, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	body, err := status.NewClient(a.socketPath()).Open(ctx, "POST", path, bytes.NewReader(text))
	return body, noDaemon(err)
}

func printImages(w io.Writer, st style, l *status.ImageList) {
	var rows [][]string
	for _, i := range l.Images {
		rows = append(rows, imageRow(st, &i))
	}
	st.table(w, []string{"IMAGE", "FORMAT", "SIZE", "ON HOST", "USERS", "LAST USE", "STATE", "VERIFIED"}, rows)
	rows = nil
	for _, f := range l.Work {
		left := ""
		if f.SecondsLeft >= 0 {
			left = span(time.Duration(f.SecondsLeft)*time.Second) + " left"
		}
		rows = append(rows, []string{
			plain(f.Image), plain(f.Phase), percent(f.Done, f.Total), bytesOf(f.Done), bytesOf(f.Rate) + "/s", left, fmt.Sprint(f.Waiters),
		})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		st.table(w, []string{"FETCHING", "PHASE", "", "DONE", "RATE", "", "WAITING"}, rows)
	}
	total := bytesOf(l.Bytes)
	if l.Limit > 0 {
		total += " of " + bytesOf(l.Limit)
	}
	fmt.Fprintf(w, "%s, %s\n", files(len(l.Images)), total)
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

func imageRow(st style, i *status.CachedImage) []string {
	name, size := plain(i.Image), "?"
	if name == "" {
		name = plain(i.Name)
	}
	if i.VirtualSize > 0 {
		size = bytesOf(i.VirtualSize)
	}
	state := "unused"
	switch {
	case i.Builds > 0:
		state = st.paint(bold, "being used")
	case i.Users > 0:
		state = "in use"
	}
	verified := st.paint(yellow, "no")
	if i.Verified {
		verified = "yes"
	}
	return []string{name, plain(i.Format), size, bytesOf(i.Allocated), fmt.Sprint(i.Users), st.ago(i.LastUse), state, verified}
}

func printCheck(w io.Writer, st style, c *status.ImageCheck) {
	name := plain(c.Image)
	if name == "" {
		name = plain(c.Name)
	}
	colour := green
	switch c.Result {
	case status.ImageUnverifiable:
		colour = yellow
	case status.ImageDamaged, status.ImageUnread:
		colour = red
	}
	fmt.Fprintf(w, "%s  %s", name, st.paint(colour, plain(c.Result)))
	if c.Error != "" {
		fmt.Fprintf(w, ": %s", plain(c.Error))
	}
	fmt.Fprintln(w)
}

func printPruned(w io.Writer, st style, in status.PruneRequest, r *status.PruneResult) {
	var rows [][]string
	sum := int64(0)
	for _, i := range r.Removed {
		rows = append(rows, imageRow(st, &i))
		sum += i.Allocated
	}
	st.table(w, []string{"IMAGE", "FORMAT", "SIZE", "ON HOST", "USERS", "LAST USE", "STATE", "VERIFIED"}, rows)
	verb := "removed"
	if in.DryRun {
		verb = "would remove"
	}
	fmt.Fprintf(w, "%s %s, %s; %d stay\n", verb, files(len(r.Removed)), bytesOf(sum), r.Kept)
}
