package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// assignment is one "name = value" of a file, with the lines it stands on.
type assignment struct {
	section string // as written; see normalSection
	name    string
	value   string // continuation lines joined with "\n"
	line    int    // line of the name, from 1
}

// syntaxError says where a file is not what oslo.config's parser accepts.
type syntaxError struct {
	line int
	msg  string
	text string // the offending line, "" where it would add nothing
}

func (e *syntaxError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("line %d: %s", e.line, e.msg)
	}
	return fmt.Sprintf("line %d: %s: %q", e.line, e.msg, e.text)
}

// parseINI reads a file the way oslo.config's iniparser does, which is not
// the way other INI readers do: "#" and ";" are comments only at the start of
// a line, a line that starts with a blank continues the value above it and a
// blank line or comment ends that value, ":" separates as well as "=", and
// quotes around a whole one-line value are taken off.
func parseINI(text string) ([]assignment, error) {
	if !utf8.ValidString(text) {
		return nil, &syntaxError{line: invalidLine(text), msg: "not UTF-8"}
	}
	p := iniParser{}
	for _, line := range splitLines(text) {
		p.line++
		if err := p.feed(line); err != nil {
			return nil, err
		}
	}
	if err := p.flush(); err != nil {
		return nil, err
	}
	return p.out, nil
}

type iniParser struct {
	out     []assignment
	section string
	line    int

	// The assignment that continuation lines may still extend; name "" = none.
	name  string
	value []string
	start int
}

func (p *iniParser) feed(raw string) error {
	line := strings.TrimRightFunc(raw, isSpace)
	switch {
	case line == "":
		return p.flush()
	case line[0] == ' ' || line[0] == '\t':
		if p.name == "" {
			return p.fail("continuation of nothing (remove the leading blank)", line)
		}
		p.value = append(p.value, strings.TrimLeftFunc(line, isSpace))
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	switch line[0] {
	case '#', ';':
		return nil
	case '[':
		return p.header(line)
	}
	return p.pair(line)
}

func (p *iniParser) header(line string) error {
	if !strings.HasSuffix(line, "]") {
		return p.fail("section must end with ]", line)
	}
	if len(line) <= 2 {
		return p.fail("empty section name", line)
	}
	p.section = line[1 : len(line)-1]
	return nil
}

func (p *iniParser) pair(line string) error {
	sep := strings.IndexAny(line, ":=")
	if sep < 0 {
		return p.fail("no ':' or '=' in assignment", line)
	}
	name := strings.TrimFunc(line[:sep], isSpace)
	if name == "" {
		return p.fail("empty option name", line)
	}
	p.name, p.value, p.start = name, []string{unquote(strings.TrimFunc(line[sep+1:], isSpace))}, p.line
	return nil
}

// flush ends the assignment in progress.
func (p *iniParser) flush() error {
	if p.name == "" {
		return nil
	}
	if p.section == "" {
		return &syntaxError{line: p.start, msg: "option before the first [section]", text: p.name}
	}
	p.out = append(p.out, assignment{
		section: p.section, name: p.name, value: strings.Join(p.value, "\n"), line: p.start,
	})
	p.name, p.value = "", nil
	return nil
}

func (p *iniParser) fail(msg, text string) error {
	return &syntaxError{line: p.line, msg: msg, text: text}
}

// unquote takes off one pair of equal quotes around the whole value.
func unquote(v string) string {
	if v == "" || (v[0] != '"' && v[0] != '\'') || v[len(v)-1] != v[0] {
		return v
	}
	if len(v) == 1 {
		return ""
	}
	return v[1 : len(v)-1]
}

// splitLines splits at \n, \r\n and \r, as Python's text files do.
func splitLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	return strings.Split(text, "\n")
}

func invalidLine(text string) int {
	line := 1
	for _, l := range splitLines(text) {
		if !utf8.ValidString(l) {
			break
		}
		line++
	}
	return line
}

// isSpace is Python's str.isspace for one character: Unicode's white space
// and the four ASCII separators that Go leaves out.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f)
}

// normalSection is the name by which oslo.config looks a section up: in lower
// case, but for DEFAULT, which is itself only in capitals.
func normalSection(s string) string {
	if s == "DEFAULT" {
		return s
	}
	return strings.ToLower(s)
}
