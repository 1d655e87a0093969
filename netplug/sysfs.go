package netplug

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// sysfs is where the kernel tells of network cards.
type sysfs struct {
	root string // "/sys"
}

func (s sysfs) device(address string) string {
	return filepath.Join(s.root, "bus/pci/devices", address)
}

// function returns the link of a virtual function's card, and the function's number
// there.
func (s sysfs) function(address string) (card string, n int, err error) {
	if card, err = onlyEntry(filepath.Join(s.device(address), "physfn/net")); err != nil {
		return "", 0, err
	}
	n, err = s.number(address)
	return card, n, err
}

func (s sysfs) number(address string) (int, error) {
	card := filepath.Join(s.device(address), "physfn")
	functions, err := filepath.Glob(filepath.Join(card, "virtfn*"))
	if err != nil {
		return 0, err
	}
	for _, f := range functions {
		target, err := os.Readlink(f)
		if err == nil && filepath.Base(target) == address {
			return strconv.Atoi(strings.TrimPrefix(filepath.Base(f), "virtfn"))
		}
	}
	return 0, &fs.PathError{Op: "find function of", Path: card, Err: fs.ErrNotExist}
}

// own returns the link that the host has of the function itself, while no guest does.
func (s sysfs) own(address string) (string, error) {
	return onlyEntry(filepath.Join(s.device(address), "net"))
}

// onlyEntry returns the first name in a directory that has one.
func onlyEntry(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) == 0 {
		return "", &fs.PathError{Op: "read", Path: dir, Err: fs.ErrNotExist}
	}
	return entries[0].Name(), nil
}

// What a card that switches by itself calls its ports (phys_port_name): "p0" its
// outer one, "pf0vf3", "vf3@pf0" or "3" the one to a function.
var (
	outerPort    = regexp.MustCompile(`^p\d+$`)
	functionPort = regexp.MustCompile(`(?i)^(\d+)$|vf(\d+)`)
	ofCard       = regexp.MustCompile(`(?i)pf(\d+)`)
)

// representor returns the link that stands for the other end of a function, of a card
// that does its switching itself (switchdev): what the switch does with that link, the
// card does with the function's frames.
func (s sysfs) representor(address string) (string, error) {
	n, err := s.number(address)
	if err != nil {
		return "", err
	}
	id, err := s.switchID(address)
	if err != nil {
		return "", err
	}
	physical, err := os.Readlink(filepath.Join(s.device(address), "physfn"))
	if err != nil {
		return "", err
	}
	_, parent, _ := strings.Cut(filepath.Base(physical), ".")
	links, err := os.ReadDir(filepath.Join(s.root, "class/net"))
	if err != nil {
		return "", err
	}
	for _, l := range links {
		port := s.attribute(l.Name(), "phys_port_name")
		function, card := functionPort.FindStringSubmatch(port), ofCard.FindStringSubmatch(port)
		if s.attribute(l.Name(), "phys_switch_id") == id && function != nil && function[1]+function[2] == strconv.Itoa(n) &&
			(card == nil || card[1] == parent) {
			return l.Name(), nil
		}
	}
	return "", fmt.Errorf("switch %s has no port to function %d: %w", id, n, fs.ErrNotExist)
}

// switchID is that of the card of a function. A card may have links besides its outer
// port; that one is the surest.
func (s sysfs) switchID(address string) (id string, err error) {
	dir := filepath.Join(s.device(address), "physfn/net")
	links, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, l := range links {
		own := s.attribute(l.Name(), "phys_switch_id")
		if own != "" && (id == "" || outerPort.MatchString(s.attribute(l.Name(), "phys_port_name"))) {
			id = own
		}
	}
	if id == "" {
		return "", fmt.Errorf("card in %s does not do its switching itself: %w", dir, fs.ErrNotExist)
	}
	return id, nil
}

// attribute is what the kernel says of a link; "" if it does not.
func (s sysfs) attribute(link, name string) string {
	text, err := os.ReadFile(filepath.Join(s.root, "class/net", link, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
