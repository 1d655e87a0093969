package remote

import (
	"strconv"
	"strings"
)

// overSSH runs simple commands on the host, and scp to copy.
type overSSH struct {
	config string
}

var _ transport = overSSH{}

func nothing() {}

// command runs argv on the host. BatchMode lets a host that asks for a password be an error rather than a wait.
func (s overSSH) command(host string, argv ...string) [][]string {
	line := []string{"ssh", "-o", "BatchMode=yes"}
	if s.config != "" {
		line = append(line, "-F", s.config)
	}
	line = append(line, "--", host)
	for _, word := range argv {
		line = append(line, quote(word))
	}
	return [][]string{line}
}

func (s overSSH) makeDir(host, dir string) ([][]string, func(), error) {
	return s.command(host, "mkdir", "-p", dir), nothing, nil
}

func (s overSSH) removeDir(host, dir string) ([][]string, func(), error) {
	return s.command(host, "rm", "-rf", dir), nothing, nil
}

func (s overSSH) touch(host, path string) ([][]string, func(), error) {
	return s.command(host, "touch", path), nothing, nil
}

func (s overSSH) remove(host, path string) ([][]string, func(), error) {
	return s.command(host, "rm", path), nothing, nil
}

func (s overSSH) copyFile(t transfer) []string {
	argv := []string{"scp"}
	if s.config != "" {
		argv = append(argv, "-F", s.config)
	}
	if t.compress {
		argv = append(argv, "-C")
	}
	if t.bandwidth > 0 {
		argv = append(argv, "-l", strconv.Itoa(max(1, t.bandwidth/125))) // kbit/s
	}
	return append(argv, "-r", "--", t.src, t.dst)
}

// quote keeps a word one word in the host's shell. Words that no shell takes apart are left as they are.
func quote(word string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/._-+=:@,", c)
	}
	if word != "" && strings.IndexFunc(word, func(c rune) bool { return !plain(c) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
