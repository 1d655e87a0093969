package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/status"
)

func (a *app) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the node on one page",
		Long: `Show the node on one page: its links, capacity, instances, what runs now and
what went wrong last. The exit code is 4 when a link fails or the node is not
serving.`,
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			var s status.Snapshot
			printed, err := a.ask(cmd.Context(), "/v1/status", &s)
			if err != nil {
				return err
			}
			if !printed {
				if _, err := a.out.Write(statusPage(a.style(time.Now()), &s)); err != nil {
					return err
				}
			}
			if s.Health == status.Fail || !s.Serving {
				return &exitError{code: exitUnwell}
			}
			return nil
		}),
	}
	a.addJSON(cmd)
	return cmd
}

// statusPage writes a snapshot for a reader.
func statusPage(st style, s *status.Snapshot) []byte {
	var b bytes.Buffer
	serving := "serving"
	if !s.Serving {
		serving = st.paint(red, "not serving")
	}
	fmt.Fprintf(&b, "%s  %s, %s  bolide %s for Nova %s, up %s\n\n", st.paint(bold, plain(s.Host)),
		st.state(s.Health), serving, plain(s.Version), plain(s.Release), span(st.now.Sub(s.StartedAt)))
	if s.Drain != nil {
		fmt.Fprintf(&b, "%s %s, %s\n", st.paint(yellow, "drained"), st.ago(s.Drain.Since), left(len(s.Instances)))
		if s.Drain.Problem != "" {
			fmt.Fprintf(&b, "  %s\n", st.paint(yellow, plain(s.Drain.Problem)))
		}
		fmt.Fprintln(&b)
	}
	linkTable(&b, st, s.Links)
	capacityTable(&b, st, &s.Capacity)
	instanceSummary(&b, st, s.Instances)
	runningTable(&b, st, s.Operations)
	failureList(&b, st, s.Failures)
	return b.Bytes()
}

func linkTable(w io.Writer, st style, links []status.Link) {
	var rows [][]string
	for _, l := range links {
		about := plain(l.Peer)
		if l.Error != "" {
			about = strings.TrimSpace(about + "  " + plain(l.Error))
		}
		rows = append(rows, []string{plain(l.Name), st.state(l.State), st.ago(l.LastSuccess), about})
	}
	st.table(w, []string{"LINK", "STATE", "ANSWERED", ""}, rows)
}

func capacityTable(w io.Writer, st style, c *status.Capacity) {
	if c.UpdatedAt.IsZero() {
		return
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, r := range []struct {
		name string
		status.Resource
	}{{"vCPUs", c.VCPU}, {"memory, MiB", c.MemoryMB}, {"disk, GiB", c.DiskGB}} {
		offered := int64(math.Floor(float64(r.Total-r.Reserved) * r.Ratio))
		rows = append(rows, []string{
			r.name, itoa(r.Total), itoa(r.Reserved), strconv.FormatFloat(r.Ratio, 'g', 4, 64), itoa(offered), itoa(r.Claimed),
			bar(r.Claimed, offered, 20), percent(r.Claimed, offered),
		})
	}
	st.table(w, []string{"CAPACITY", "HOST", "RESERVED", "RATIO", "OFFERED", "CLAIMED", "", ""}, rows)
}

// instanceSummary counts the instances by state, and names those of which
// something is to be said.
func instanceSummary(w io.Writer, st style, all []status.Instance) {
	noun := "instances"
	if len(all) == 1 {
		noun = "instance"
	}
	fmt.Fprintf(w, "\n%s", st.paint(bold, fmt.Sprintf("%d %s", len(all), noun)))
	var states []string
	count := map[string]int{}
	for _, i := range all {
		if count[i.VMState] == 0 {
			states = append(states, i.VMState)
		}
		count[i.VMState]++
	}
	for n, s := range states {
		sep := ", "
		if n == 0 {
			sep = ": "
		}
		fmt.Fprintf(w, "%s%d %s", sep, count[s], plain(s))
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, i := range all {
		if i.Problem != "" {
			rows = append(rows, []string{"  " + plain(i.UUID), st.paint(yellow, plain(i.Problem))})
		}
	}
	st.table(w, []string{"  WITH A PROBLEM", ""}, rows)
}

func runningTable(w io.Writer, st style, ops []status.Operation) {
	if len(ops) == 0 {
		return
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, o := range ops {
		rows = append(rows, []string{
			plain(o.Name), plain(o.Instance), span(st.now.Sub(o.Started)), stepOf(&o), bar(o.Done, o.Total, 20), percent(o.Done, o.Total),
		})
	}
	st.table(w, []string{"RUNNING", "INSTANCE", "FOR", "STEP", "", ""}, rows)
}

func stepOf(o *status.Operation) string {
	if o.Steps == 0 {
		return plain(o.Step)
	}
	return fmt.Sprintf("%d/%d %s", o.StepIndex, o.Steps, plain(o.Step))
}

// failuresShown is how many fit on a page that is to fit on a screen.
const failuresShown = 5

func failureList(w io.Writer, st style, all []status.Failure) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", st.paint(faint, "LAST FAILURES"))
	for i, f := range all {
		if i == failuresShown {
			fmt.Fprintf(w, "  and %d more: bolide operations\n", len(all)-i)
			break
		}
		what := plain(f.Operation)
		if f.Step != "" {
			what += ", " + plain(f.Step)
		}
		fmt.Fprintf(w, "%s  %s  %s\n    %s\n", st.ago(f.Time), what, plain(f.Instance), st.paint(red, plain(f.Reason)))
		if f.Next != "" {
			fmt.Fprintf(w, "    next: %s\n", plain(f.Next))
		}
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
