package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/portent-dev/portent/internal/llm"
	"github.com/portent-dev/portent/internal/llm/openai"
)

// modelFlags name the optional language model.
type modelFlags struct {
	url, name, keyFile string
	timeout            time.Duration
}

func (m *modelFlags) register(c *kingpin.CmdClause) {
	c.Flag("model-url", "Address of an OpenAI-compatible API, such as http://127.0.0.1:11434/v1. Without one no language model is asked.").StringVar(&m.url)
	c.Flag("model", "Name of the language model.").StringVar(&m.name)
	c.Flag("model-key-file", "File with the key of the API.").StringVar(&m.keyFile)
	c.Flag("model-timeout", "How long the language model may take.").Default("20s").DurationVar(&m.timeout)
}

// client returns the model, nil when none is named.
func (m *modelFlags) client() (llm.Client, error) {
	if m.url == "" {
		if m.name != "" || m.keyFile != "" {
			return nil, usageError{errors.New("--model and --model-key-file make no sense without --model-url")}
		}
		return nil, nil //nolint:nilnil // none is a fine answer
	}
	o := openai.Options{URL: m.url, Model: m.name, Timeout: m.timeout}
	if m.keyFile != "" {
		key, err := os.ReadFile(m.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--model-key-file: %w", err)
		}
		o.Key = strings.TrimSpace(string(key))
	}
	client, err := openai.New(o)
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}
