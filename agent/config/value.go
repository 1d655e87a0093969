package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// The functions of this file turn text into values by the rules of
// oslo.config's types, including what those accept beyond the obvious.

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "1", "on", "yes":
		return true, nil
	case "false", "0", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is not a boolean (true, false, yes, no, on, off, 1, 0)", s)
}

var (
	pyInt   = regexp.MustCompile(`^[+-]?[0-9]+(_[0-9]+)*$`)
	pyFloat = regexp.MustCompile(`(?i)^[+-]?(([0-9]+(_[0-9]+)*\.?|([0-9]+(_[0-9]+)*)?\.[0-9]+(_[0-9]+)*)(e[+-]?[0-9]+(_[0-9]+)*)?|inf|infinity|nan)$`)
)

// parseInt reads a decimal number as Python's int() does. Empty text means "no
// value", which ok reports.
func parseInt(s string) (n int64, ok bool, err error) {
	s = strings.TrimFunc(s, isSpace)
	if s == "" {
		return 0, false, nil
	}
	if !pyInt.MatchString(s) {
		return 0, false, fmt.Errorf("%q is not an integer", s)
	}
	n, err = strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("%s is out of range", s)
	}
	return n, true, nil
}

// parseFloat reads a number as Python's float() does, but for NaN and the
// infinities, which no option here has a use for.
func parseFloat(s string) (f float64, ok bool, err error) {
	s = strings.TrimFunc(s, isSpace)
	if s == "" {
		return 0, false, nil
	}
	if !pyFloat.MatchString(s) {
		return 0, false, fmt.Errorf("%q is not a number", s)
	}
	f, err = strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, false, fmt.Errorf("%q is out of range", s)
	}
	return f, true, nil
}

// parseList splits at commas; blanks around items and commas at the end go,
// empty items between commas stay.
func parseList(s string) []string {
	s = strings.TrimRight(strings.TrimFunc(s, isSpace), ",")
	if s == "" {
		return nil
	}
	items := strings.Split(s, ",")
	for i := range items {
		items[i] = strings.TrimFunc(items[i], isSpace)
	}
	return items
}

// parseDict reads "key:value,key:value".
func parseDict(s string) (map[string]string, error) {
	s = strings.TrimFunc(s, isSpace)
	d := map[string]string{}
	if s == "" {
		return d, nil
	}
	pairs := strings.Split(s, ",")
	for len(pairs) > 0 {
		pair := pairs[0]
		pairs = pairs[1:]
		// A part without a colon belongs to the pair before the comma.
		for !strings.Contains(pair, ":") {
			if len(pairs) == 0 {
				return nil, errors.New(`value should be NAME:VALUE pairs separated by ","`)
			}
			pair += "," + pairs[0]
			pairs = pairs[1:]
		}
		k, v, _ := strings.Cut(pair, ":")
		k, v = strings.TrimFunc(k, isSpace), strings.TrimFunc(v, isSpace)
		if k == "" {
			return nil, errors.New("key name should not be empty")
		}
		if _, dup := d[k]; dup {
			return nil, fmt.Errorf("duplicate key %s", k)
		}
		d[k] = v
	}
	return d, nil
}

func checkURI(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("%q is not a URI", s)
	}
	if u.Scheme == "" || u.Host == "" {
		return fmt.Errorf("%q is not a URI with scheme and host", s)
	}
	return nil
}

func checkIP(s string) error {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return fmt.Errorf("%q is not an IPv4 or IPv6 address", s)
	}
	return nil
}

var (
	hostLabel   = regexp.MustCompile(`^[A-Za-z0-9-]{1,63}$`)
	domainLabel = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)
	nonNumeric  = regexp.MustCompile(`[A-Za-z-]`)
)

// checkHost accepts an IP address or a host name of RFC 1123; label is the
// pattern of one label of the name.
func checkHost(s string, label *regexp.Regexp) error {
	if checkIP(s) == nil {
		return nil
	}
	bad := fmt.Errorf("%q is not a valid host address", s)
	if s == "" || len(s) > 253 {
		return bad
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	if !nonNumeric.MatchString(labels[len(labels)-1]) {
		return bad
	}
	for _, l := range labels {
		if !label.MatchString(l) || strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-") {
			return bad
		}
	}
	return nil
}
