package otlplogs_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
	"github.com/portent-dev/portent/internal/ingest/linehttp/linetest"
	"github.com/portent-dev/portent/internal/ingest/otlplogs"
	"github.com/portent-dev/portent/internal/spectest"
)

const document = `{"resourceLogs":[{"schemaUrl":"x","unknown":[],"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeLogs":[{"scope":{},"logRecords":[
	{"timeUnixNano":"1795435200123456789","severityNumber":17,"body":{"stringValue":"one"},"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","attributes":[{"key":"n","value":{"intValue":"7"}}]},
	{"observedTimeUnixNano":1795435200123456789,"severityText":"Notice","body":{"kvlistValue":{"values":[{"key":"msg","value":{"stringValue":"two \"x\""}},{"key":"l","value":{"arrayValue":{"values":[{"boolValue":true},{"doubleValue":1.5},{}]}}}]}}},
	{}]}]}]}`

var lines = []ingest.Line{
	{T: 1795435200123, Text: "one", Severity: "error", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", Labels: []ingest.Label{{Name: "n", Value: "7"}, {Name: "service.name", Value: "shop"}}},
	{T: 1795435200123, Text: `{"msg":"two \"x\"","l":[true,1.5,]}`, Severity: "Notice", Labels: []ingest.Label{{Name: "service.name", Value: "shop"}}},
	{Labels: []ingest.Label{{Name: "service.name", Value: "shop"}}},
}

func str(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

// export is the same request as the SDKs encode it, with their own generated code.
func export(t testing.TB) []byte {
	t.Helper()
	list := &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{
		{Value: &common.AnyValue_BoolValue{BoolValue: true}}, {Value: &common.AnyValue_DoubleValue{DoubleValue: 1.5}}, {},
	}}}}
	body, err := proto.Marshal(&collector.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{{Key: "service.name", Value: str("shop")}}},
		ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{
			{
				TimeUnixNano: 1795435200123456789, SeverityNumber: 17, Body: str("one"),
				TraceId:    append(binary.BigEndian.AppendUint64(nil, 0x4bf92f3577b34da6), 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36),
				Attributes: []*common.KeyValue{{Key: "n", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 7}}}},
			},
			{ObservedTimeUnixNano: 1795435200123456789, SeverityText: "Notice", Body: &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{
				Values: []*common.KeyValue{{Key: "msg", Value: str(`two "x"`)}, {Key: "l", Value: list}},
			}}}},
			{},
		}}},
	}}})
	require.NoError(t, err)
	return body
}

func TestForms(t *testing.T) {
	require.NoError(t, spectest.LoadSchema(t, "inbound/otlp-logs.schema.json").Check([]byte(document)))
	h, target, _ := linetest.Handler(t, otlplogs.New, linehttp.Config{})
	w := linetest.Post(h, "application/json", "", []byte(document))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.JSONEq(t, "{}", w.Body.String())
	require.Equal(t, lines, target.Take())

	w = linetest.Post(h, "application/x-protobuf", "", export(t))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/x-protobuf", w.Header().Get("Content-Type"))
	require.Empty(t, w.Body.Bytes())
	require.Equal(t, lines, target.Take())
}

func TestSuite(t *testing.T) {
	t.Run("json", func(t *testing.T) {
		linetest.Run(t, otlplogs.New, linetest.Sample{ContentType: "application/json", Body: []byte(document)})
	})
	t.Run("protobuf", func(t *testing.T) {
		linetest.Run(t, otlplogs.New, linetest.Sample{ContentType: "application/x-protobuf", Body: export(t)})
	})
}

// TestPartialSuccess: records beyond the limit are told, and not sent again.
func TestPartialSuccess(t *testing.T) {
	h, target, _ := linetest.Handler(t, otlplogs.New, linehttp.Config{MaxLines: 2})
	w := linetest.Post(h, "application/json", "", []byte(document))
	require.Equal(t, http.StatusOK, w.Code)
	require.Len(t, target.Take(), 2)
	var got struct {
		PartialSuccess struct{ RejectedLogRecords, ErrorMessage string }
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, "1", got.PartialSuccess.RejectedLogRecords)
	require.Contains(t, got.PartialSuccess.ErrorMessage, "max_lines")

	w = linetest.Post(h, "application/x-protobuf", "", export(t))
	var answer collector.ExportLogsServiceResponse
	require.NoError(t, proto.Unmarshal(w.Body.Bytes(), &answer))
	require.EqualValues(t, 1, answer.GetPartialSuccess().GetRejectedLogRecords())
}

func TestRefused(t *testing.T) {
	h, target, _ := linetest.Handler(t, otlplogs.New, linehttp.Config{})
	for _, bad := range []string{"", "[]", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"x"}]}]}]}`, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":{}}]}]}]}`} {
		w := linetest.Post(h, "application/json", "", []byte(bad))
		require.Equal(t, http.StatusBadRequest, w.Code)
		var status struct {
			Code    int
			Message string
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &status))
		require.Equal(t, 3, status.Code, "INVALID_ARGUMENT")
		require.NotEmpty(t, status.Message)
	}
	deep := bytes.Repeat([]byte(`{"arrayValue":{"values":[`), 3000)
	require.Equal(t, http.StatusBadRequest, linetest.Post(h, "application/json", "", append([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":`), deep...)).Code)
	require.Empty(t, target.Take())
}

func FuzzExport(f *testing.F) {
	f.Add(true, []byte(document))
	f.Add(false, export(f))
	f.Fuzz(func(t *testing.T, json bool, body []byte) {
		h, _, _ := linetest.Handler(t, otlplogs.New, linehttp.Config{MaxLines: 100, MaxLabels: 3})
		contentType := "application/x-protobuf"
		if json {
			contentType = "application/json"
		}
		require.Contains(t, []int{200, 400, 413}, linetest.Post(h, contentType, "", body).Code)
	})
}
