package web

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecretBytes bounds what is read from a secret's file: a path to the wrong file must not fill the memory.
const maxSecretBytes = 64 << 10

// hidden is what a secret prints as.
const hidden = "<secret>"

// Secret is a password, token or key in a configuration. It prints as <secret> by every verb of fmt, in logs, in JSON and in
// YAML; empty prints as nothing. Only Reveal gives it away.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format implements fmt.Formatter, so that %x, %q and %#v hide it too.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText implements encoding.TextMarshaler, which JSON and slog use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML implements yaml.Marshaler.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// ReadSecret returns the secret that is given either in the configuration or in a file of its own, with a line break at the
// file's end removed. Neither given is the empty secret; both given, an unreadable, empty or huge file is an error.
func ReadSecret(inline Secret, file string) (Secret, error) {
	if file == "" {
		return inline, nil
	}
	if inline != "" {
		return "", errors.New("give the secret or the file that holds it, not both")
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if len(b) > maxSecretBytes {
		return "", fmt.Errorf("read secret: %s is over %d bytes", file, maxSecretBytes)
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("read secret: %s is empty", file)
	}
	return Secret(s), nil
}
