package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// parseScalar sets v from its text.
func parseScalar(s string, v reflect.Value, tag reflect.StructTag) error {
	switch v.Interface().(type) {
	case bool:
		v.SetBool(strings.EqualFold(s, "true"))
		return nil
	case netip.Prefix:
		p, err := parseNetwork(s)
		v.Set(reflect.ValueOf(p))
		return err
	case time.Duration, Size, int:
		n, err := parseNumber(s, v.Type())
		if err != nil {
			return err
		}
		v.SetInt(n)
		return checkBounds(n, v.Type(), tag)
	}
	if err := checkText(s, tag); err != nil {
		return err
	}
	v.SetString(s)
	return nil
}

// checkText checks a text by the field's tag.
func checkText(s string, tag reflect.StructTag) error {
	words, word := tag.Get("enum"), tag.Get("word")
	switch {
	case s == "":
		return errors.New("is empty: write a value, or leave the key out")
	case s == word:
		return nil
	case words != "":
		return checkEnum(s, strings.Split(words, "|"))
	}
	err := checkKind(tag.Get("kind"), s)
	if err != nil && word != "" {
		return fmt.Errorf("%w, or %s", err, word)
	}
	return err
}

// parseNumber reads what is kept as an integer.
func parseNumber(s string, t reflect.Type) (int64, error) {
	switch t {
	case reflect.TypeFor[time.Duration]():
		n, err := parseDuration(s)
		return int64(n), err
	case reflect.TypeFor[Size]():
		n, err := ParseSize(s)
		return int64(n), err
	}
	n, err := parseInt(s)
	if err != nil {
		return 0, errors.New(numberText(s, err))
	}
	return n, nil
}

// checkBounds compares with the field's min and max.
func checkBounds(n int64, t reflect.Type, tag reflect.StructTag) error {
	for _, side := range []string{"min", "max"} {
		text := tag.Get(side)
		if text == "" {
			continue
		}
		bound, err := parseNumber(text, t)
		if err != nil {
			return err
		}
		if side == "min" && n < bound {
			return fmt.Errorf("is too small: the smallest value is %s", text)
		}
		if side == "max" && n > bound {
			return fmt.Errorf("is too large: the largest value is %s", text)
		}
	}
	return nil
}

// checkEnum wants one of the words.
func checkEnum(s string, words []string) error {
	if slices.Contains(words, s) {
		return nil
	}
	list := strings.Join(words, ", ")
	if near := nearest(s, words); near != "" {
		return fmt.Errorf("%s is none of %s: did you mean %s?", quote(s), list, near)
	}
	return fmt.Errorf("%s is none of %s", quote(s), list)
}

// wanted says what kind of value a field takes.
func wanted(t reflect.Type, tag reflect.StructTag) string {
	switch {
	case t == reflect.TypeFor[bool]():
		return "true or false"
	case t == reflect.TypeFor[time.Duration]():
		return "a duration, as 30s"
	case t == reflect.TypeFor[Size]():
		return "a size, as 50MiB"
	case t == reflect.TypeFor[netip.Prefix]():
		return "a network, as 10.1.0.0/16"
	case t.Kind() == reflect.Int:
		return "a number"
	case tag.Get("enum") != "":
		return "one of " + strings.ReplaceAll(tag.Get("enum"), "|", ", ")
	}
	return "a single value"
}
