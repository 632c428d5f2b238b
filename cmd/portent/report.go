package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/portent-dev/portent/internal/incidentapi"
)

// reportCommand registers `portent report`: the draft of a post-incident review.
func reportCommand(app *kingpin.Application) (string, func(stdio) error) {
	r := &reporter{}
	c := app.Command("report", "Print the draft of an incident's post-incident review, as Markdown.")
	c.Flag("receiver", "Address of the receiver.").Default("http://127.0.0.1:9751").StringVar(&r.receiver)
	c.Flag("token-file", "File with the token to send as bearer token.").StringVar(&r.tokenFile)
	c.Flag("timeout", "How long to wait for the receiver.").Default("30s").DurationVar(&r.timeout)
	c.Arg("incident", "Id of the incident, or its key on tickets (portent-…).").Required().StringVar(&r.id)
	return c.FullCommand(), r.run
}

type reporter struct {
	receiver, tokenFile, id string
	timeout                 time.Duration
}

func (r *reporter) run(std stdio) error {
	o := incidentapi.Options{URL: r.receiver, Client: &http.Client{Timeout: r.timeout}}
	if r.tokenFile != "" {
		token, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		o.Token = strings.TrimSpace(string(token))
	}
	client, err := incidentapi.New(o)
	if err != nil {
		return usageError{fmt.Errorf("--receiver: %w", err)}
	}
	text, err := client.Report(context.Background(), strings.TrimPrefix(r.id, "portent-"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(std.out, text)
	return err
}
