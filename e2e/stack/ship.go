package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// LogJob is the label job of the stack's own logs in Loki; their label app is the name of the part.
const LogJob = "portent-stack"

const (
	// shipEvery is how late a line of a log is in Loki, at most.
	shipEvery = time.Second
	// maxShip bounds what is read of a log at a time. A log that grows faster stays behind.
	maxShip = 256 << 10
)

// shipper sends the logs of the stack to its Loki, as a promtail would that nobody has to install.
type shipper struct {
	url  string
	logs []*shipped
}

type shipped struct {
	app, path string
	offset    int64
}

// ship sends what the processes write until ctx ends. It returns when it has.
func (s *Stack) ship(ctx context.Context) {
	sh := shipper{url: s.URL(Loki) + "/loki/api/v1/push"}
	for _, p := range s.processes {
		sh.logs = append(sh.logs, &shipped{app: p.Name, path: p.LogFile})
	}
	t := time.NewTicker(shipEvery)
	defer t.Stop()
	failing := ""
	for {
		err := sh.send(ctx)
		if text := fmt.Sprint(err); err != nil && ctx.Err() == nil && text != failing {
			fmt.Fprintf(s.out, "the logs of the stack do not reach Loki: %v\n", err)
			failing = text
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (sh *shipper) send(ctx context.Context) error {
	var errs []error
	for _, l := range sh.logs {
		lines, next, err := l.read()
		if err == nil && len(lines) > 0 {
			if err = sh.push(ctx, l.app, lines); err == nil {
				l.offset = next
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// read returns the whole lines since the offset, and where they end.
func (l *shipped) read() (lines []string, next int64, err error) {
	f, err := os.Open(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, l.offset, nil
	}
	if err != nil {
		return nil, l.offset, err
	}
	defer f.Close()
	buf := make([]byte, maxShip)
	n, err := f.ReadAt(buf, l.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, l.offset, err
	}
	end := bytes.LastIndexByte(buf[:n], '\n') + 1
	if end == 0 && n == maxShip {
		end = n // a line that never ends
	}
	for line := range strings.Lines(string(buf[:end])) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, l.offset + int64(end), nil
}

func (sh *shipper) push(ctx context.Context, app string, lines []string) error {
	now := time.Now().UnixNano()
	values := make([][2]string, len(lines))
	for i, line := range lines {
		values[i] = [2]string{strconv.FormatInt(now+int64(i), 10), line}
	}
	body, err := json.Marshal(map[string]any{"streams": []any{map[string]any{
		"stream": map[string]string{"job": LogJob, "app": app}, "values": values,
	}}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, sh.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // for the message alone
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(said))
	}
	return nil
}
