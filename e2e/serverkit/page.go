package serverkit

import (
	"bytes"
	"compress/gzip"
	_ "embed"
)

// The module of Alertmanager lacks its built web interface, so the pinned build gets this page: alerts and silences as its API
// gives them.
//
//go:embed alertmanager.html
var alertmanagerHTML []byte

// alertmanagerPage is the page as Alertmanager embeds it. The bytes depend on the page alone, as the cache key holds them.
func alertmanagerPage() ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(alertmanagerHTML); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
