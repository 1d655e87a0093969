package config

import (
	"regexp"
	"strings"
)

// Setting is one option as it took effect.
type Setting struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Value   string `json:"value"` // as in a file; secrets are masked
	From    string `json:"from"`  // "FILE:LINE", "environment NAME", "command line", "default"
	Unused  string `json:"unused,omitempty"`
}

// Settings lists every option that Bolide reads, with its value and where that
// came from, in the order of Config. Secrets are masked.
func (c *Config) Settings() []Setting { return append([]Setting(nil), c.settings...) }

const mask = "***"

func newSetting(o *option, f found) Setting {
	s := Setting{Section: o.section, Name: o.name, Value: o.text(), From: f.from, Unused: o.unused()}
	switch o.tag.Get("secret") {
	case "all":
		if s.Value != "" {
			s.Value = mask
		}
	case "url":
		s.Value = MaskURL(s.Value)
	}
	return s
}

var urlPassword = regexp.MustCompile(`([^/@:,]*):[^@,]*@`)

// MaskURL hides the passwords of a transport URL, which may name several hosts.
func MaskURL(u string) string {
	scheme, rest, ok := strings.Cut(u, "://")
	if !ok {
		return urlPassword.ReplaceAllString(u, "${1}:"+mask+"@")
	}
	return scheme + "://" + urlPassword.ReplaceAllString(rest, "${1}:"+mask+"@")
}
