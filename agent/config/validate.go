package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

var errNoNumber = errors.New("empty where a number is needed")

func (o *option) number(text string) (int64, bool, error) {
	n, ok, err := parseInt(text)
	if err != nil || !ok {
		return 0, ok, err
	}
	return n, true, o.checkBounds(float64(n))
}

func (o *option) checkBounds(f float64) error {
	if s, ok := o.tag.Lookup("min"); ok {
		if low, _ := strconv.ParseFloat(s, 64); f < low {
			return fmt.Errorf("%v should be at least %s", f, s)
		}
	}
	if s, ok := o.tag.Lookup("max"); ok {
		if high, _ := strconv.ParseFloat(s, 64); f > high {
			return fmt.Errorf("%v should be at most %s", f, s)
		}
	}
	if o.tag.Get("kind") == "port" && (f < 0 || f > 65535) {
		return fmt.Errorf("%v is not a port (0 to 65535)", f)
	}
	return nil
}

// checkChoice holds a value that is not a list against the option's choices.
func (o *option) checkChoice(text string) error {
	if o.field.Kind() == reflect.Slice {
		return nil
	}
	return o.oneOf(text)
}

func (o *option) oneOf(text string) error {
	list, ok := o.tag.Lookup("choices")
	if !ok {
		return nil
	}
	choices := strings.Split(list, ",")
	same := func(c string) bool {
		return c == text || o.tag.Get("fold") != "" && strings.EqualFold(c, text)
	}
	if o.field.Kind() == reflect.Pointer || o.field.Kind() == reflect.Int {
		text = strings.TrimFunc(text, isSpace)
		if text == "" {
			return nil
		}
	}
	if slices.ContainsFunc(choices, same) {
		return nil
	}
	return fmt.Errorf("%q is none of %s", text, strings.Join(choices, ", "))
}

func (o *option) checkItems(items []string) error {
	for _, it := range items {
		if err := o.oneOf(it); err != nil {
			return err
		}
	}
	return nil
}

func (o *option) checkKind(text string) error {
	switch o.tag.Get("kind") {
	case "uri":
		return checkURI(text)
	case "host":
		return checkHost(text, hostLabel)
	case "domain":
		return checkHost(text, domainLabel)
	}
	return nil
}
