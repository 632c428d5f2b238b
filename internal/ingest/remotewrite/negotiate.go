package remotewrite

import (
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// protocol is a version of remote write. It is also a metric label.
type protocol string

const (
	protocolV1      protocol = "1.0"
	protocolV2      protocol = "2.0"
	protocolUnknown protocol = "unknown" // the content type names neither
)

const (
	mediaType = "application/x-protobuf"
	messageV1 = "prometheus.WriteRequest"
	messageV2 = "io.prometheus.write.v2.Request"
)

// negotiate tells the protocol of a request by its content type, and checks its
// encoding. An error is answered with 415. A missing content type or encoding is
// that of 1.0, whose receivers never looked; the version header is not looked at,
// for only the content type names the message.
func negotiate(h http.Header) (protocol, error) {
	p, err := contentType(h.Get("Content-Type"))
	if err != nil {
		return p, err
	}
	// One value only: "snappy, gzip" means compressed twice.
	if enc := h.Values("Content-Encoding"); len(enc) > 1 || len(enc) == 1 && enc[0] != "" && !strings.EqualFold(enc[0], "snappy") {
		return p, fmt.Errorf("content encoding %q is not supported: want snappy, in its block format", cut(strings.Join(enc, ", ")))
	}
	return p, nil
}

func contentType(value string) (protocol, error) {
	if value == "" {
		return protocolV1, nil
	}
	media, params, err := mime.ParseMediaType(value)
	if err != nil || media != mediaType {
		return protocolUnknown, fmt.Errorf("content type %q is not supported: want %s", cut(value), mediaType)
	}
	switch proto := params["proto"]; proto {
	case "", messageV1:
		return protocolV1, nil
	case messageV2:
		return protocolV2, nil
	default:
		return protocolUnknown, fmt.Errorf("protobuf message %q is not supported: want %s or %s", cut(proto), messageV1, messageV2)
	}
}
