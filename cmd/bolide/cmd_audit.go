package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bolide/agent/audit"
	"bolide/agent/status"
)

// auditTimeout bounds an audit and what it mends.
const auditTimeout = 2*time.Minute + askTimeout

const auditHelp = `Compare what Nova's records, libvirt, the instances' files, the host's taps and
Placement tell of the guests of this node, and print each difference with the
command that mends it. Without --fix nothing is changed.

--fix KIND mends the differences of one kind; it may be given again. Only these
can be mended: %s.
A guest or a file that Nova never knew is never removed.

Exit code 4 says that differences are left.`

func (a *app) auditCommand() *cobra.Command {
	var fix []string
	cmd := &cobra.Command{
		Use:   "audit [--fix KIND]...",
		Short: "Find, and mend, what differs between Nova, libvirt, disk, links and Placement",
		Long:  fmt.Sprintf(auditHelp, strings.Join(fixable(), ", ")),
		Args:  cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), auditTimeout)
			defer cancel()
			report, err := a.audit(ctx, fix)
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(report)
			} else {
				printReport(a.out, a.style(time.Now()), report)
			}
			if err == nil && differencesLeft(report) {
				err = &exitError{exitUnwell, nil}
			}
			return err
		}),
	}
	cmd.Flags().StringArrayVar(&fix, "fix", nil, "mend the differences of this `KIND`")
	a.addJSON(cmd)
	return cmd
}

func fixable() []string {
	kinds := make([]string, len(audit.Fixable))
	for i, k := range audit.Fixable {
		kinds[i] = string(k)
	}
	return kinds
}

// audit asks the daemon.
func (a *app) audit(ctx context.Context, fix []string) (*audit.Report, error) {
	method, path := http.MethodGet, "/v1/audit"
	if len(fix) > 0 {
		method, path = http.MethodPost, path+"?"+url.Values{"fix": fix}.Encode()
	}
	var report audit.Report
	err := status.NewClient(a.socketPath()).Ask(ctx, method, path, &report)
	if err = noDaemon(err); err != nil {
		var refused *status.APIError
		if errors.As(err, &refused) && refused.Status == http.StatusBadRequest {
			return nil, &exitError{exitUsage, err}
		}
		return nil, err
	}
	return &report, nil
}

func differencesLeft(r *audit.Report) bool {
	for _, d := range r.Differences {
		if d.Outcome != audit.Mended {
			return true
		}
	}
	return false
}

func printReport(w io.Writer, st style, r *audit.Report) {
	if len(r.Differences) == 0 {
		fmt.Fprintf(w, "%d guests on %s, no differences (%.1f s)\n", r.Guests, plain(r.Host), r.Seconds)
		return
	}
	for _, d := range r.Differences {
		what := d.Instance
		if d.Object != "" && d.Object != d.Instance {
			what = strings.TrimSpace(what + "  " + d.Object)
		}
		fmt.Fprintf(w, "%s  %s\n    %s\n", st.paint(yellow, string(d.Kind)), plain(what), plain(d.Text))
		switch {
		case d.Outcome == audit.Mended:
			fmt.Fprintf(w, "    %s\n", st.paint(green, audit.Mended))
		case d.Outcome != "":
			fmt.Fprintf(w, "    %s: %s\n", st.paint(red, "not mended"), plain(d.Outcome))
		default:
			fmt.Fprintf(w, "    → %s\n", plain(d.Mend))
		}
	}
	fmt.Fprintf(w, "%d guests on %s, %d differences (%.1f s)\n", r.Guests, plain(r.Host), len(r.Differences), r.Seconds)
}
