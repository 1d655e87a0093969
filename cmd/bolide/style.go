package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/sys/unix"

	"bolide/agent/status"
)

// style is how a page looks: with colours on a terminal, plain elsewhere.
type style struct {
	colours bool
	width   int       // of the terminal in columns; 0 = not known
	height  int       // in lines
	now     time.Time // times of day are shown in its zone
}

// styleOf looks at where output goes. NO_COLOR (no-color.org) is heeded.
func (a *app) style(now time.Time) style {
	s := style{now: now}
	f, ok := a.out.(*os.File)
	if !ok {
		return s
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return s
	}
	s.width, s.height = int(size.Col), int(size.Row)
	s.colours = true
	for _, e := range a.env {
		if e == "TERM=dumb" || strings.HasPrefix(e, "NO_COLOR=") && e != "NO_COLOR=" {
			s.colours = false
		}
	}
	return s
}

const (
	reset  = "\x1b[0m"
	bold   = "\x1b[1m"
	faint  = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
)

func (s style) paint(code, t string) string {
	if !s.colours || t == "" {
		return t
	}
	return code + t + reset
}

func (s style) state(st status.State) string {
	switch st {
	case status.Pass:
		return s.paint(green, string(st))
	case status.Warn:
		return s.paint(yellow, string(st))
	}
	return s.paint(red, string(st))
}

// table prints rows under headings, in columns as wide as they need.
func (s style) table(w io.Writer, headings []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	t := table.NewWriter()
	t.SetStyle(table.Style{
		Box:     table.BoxStyle{PaddingRight: "  "},
		Format:  table.FormatOptions{Header: text.FormatDefault},
		Options: table.OptionsNoBordersAndSeparators,
	})
	t.SuppressTrailingSpaces()
	if s.width > 0 {
		t.Style().Size.WidthMax = s.width
	}
	t.AppendHeader(cells(headings, func(c string) string { return s.paint(faint, c) }))
	for _, r := range rows {
		t.AppendRow(cells(r, clean))
	}
	fmt.Fprintln(w, t.Render())
}

func cells(in []string, f func(string) string) table.Row {
	row := make(table.Row, len(in))
	for i, c := range in {
		row[i] = f(c)
	}
	return row
}

// clean takes out what would break a line, or speak to the terminal, from text
// that came from elsewhere; colours put in here stay.
func clean(t string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' && r != '\x1b' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return -1
		}
		return r
	}, t)
}

// plain is clean without colours, for text from outside before it is painted.
func plain(t string) string { return strings.ReplaceAll(clean(t), "\x1b", "") }

// bar draws how much of total is done.
func bar(done, total int64, width int) string {
	if total <= 0 {
		return ""
	}
	full := int(min(max(done, 0), total) * int64(width) / total)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

func percent(done, total int64) string {
	if total <= 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", min(max(done, 0), total)*100/total)
}

// ago says how long ago t was.
func (s style) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(s.now.Sub(t)) + " ago"
}

// span rounds a duration to what a reader wants to know.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days %d h", int(d.Hours())/24, int(d.Hours())%24)
}
