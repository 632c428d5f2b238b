package logmine

import "strings"

// EntityKind says what an Entity names.
type EntityKind uint8

// The kinds of entities.
const (
	noEntity EntityKind = iota
	Pod
	Node
	Namespace
	Container
	Host
	Address // an IP address
	Port
	Link // a URL, without credentials, query and fragment
	File // a path
	User
	HTTPStatus
	SQLState
	Errno
	ErrorCode
	Exception // a class of exceptions or errors
	TraceID
	RequestID
	Elapsed // a duration, with its unit
	Bytes   // a size, with its unit
	numEntityKinds
)

var entityNames = [numEntityKinds]string{
	"", "pod", "node", "namespace", "container", "host", "ip", "port", "url", "path", "user", "httpStatus", "sqlState", "errno",
	"errorCode", "exception", "traceId", "requestId", "duration", "size",
}

// String returns the kind as the API spells it.
func (k EntityKind) String() string {
	if k < numEntityKinds {
		return entityNames[k]
	}
	return entityNames[noEntity]
}

// Entity is a thing that a line speaks of: whom it is about, where, how bad.
type Entity struct {
	Kind  EntityKind
	Value string
}

// AppendEntities appends what line speaks of, in order of the line. Values alias
// the line, secrets in it included where they have the form of an entity: Redact
// first what is kept. It allocates only for dst and a scanner; a Miner does neither.
func AppendEntities(dst []Entity, line string) []Entity {
	var s scanner
	s.scan(cut(line, defaultMaxLineBytes))
	for i := range s.toks {
		dst = s.appendEntity(dst, i, s.hintAt(i))
	}
	return dst
}

// keyHint says what the value behind a key is, by the key's last part.
func keyHint(key string) EntityKind {
	var buf [24]byte
	if i := strings.LastIndexByte(key, '.'); i >= 0 && i+1 < len(key) && !strings.HasSuffix(key, ".id") {
		key = key[i+1:]
	}
	n := 0
	for i := range len(key) {
		b := key[i]
		if b == '_' || b == '-' || b == '.' {
			continue
		}
		if n == len(buf) {
			return noEntity
		}
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		buf[n] = b
		n++
	}
	switch string(buf[:n]) {
	case "pod", "pods", "podname":
		return Pod
	case "node", "nodename", "nodes":
		return Node
	case "namespace", "ns", "namespacename", "podnamespace", "kubenamespace":
		return Namespace
	case "container", "containername":
		return Container
	case "host", "hostname", "server", "upstream":
		return Host
	case "ip", "ipaddr", "ipaddress", "addr", "address", "clientip", "remoteaddr", "peer", "client", "remoteip", "podip":
		return Address
	case "port", "dport", "sport", "dpt", "spt":
		return Port
	case "url", "uri", "href":
		return Link
	case "path", "file", "filename", "dir", "directory":
		return File
	case "user", "userid", "uid", "username", "login", "ruser", "account", "accountid", "customerid":
		return User
	case "status", "statuscode", "httpstatus", "httpcode", "responsecode", "httpstatuscode":
		return HTTPStatus
	case "sqlstate":
		return SQLState
	case "errno":
		return Errno
	case "code", "errorcode", "errcode", "exitcode", "rc":
		return ErrorCode
	case "exception", "exceptionclass", "errortype", "exceptiontype":
		return Exception
	case "traceid", "trace", "ddtraceid":
		return TraceID
	case "requestid", "reqid", "xrequestid", "correlationid":
		return RequestID
	case "duration", "took", "elapsed", "latency", "responsetime":
		return Elapsed
	case "size", "bytes", "length":
		return Bytes
	}
	return noEntity
}

// byForm marks a token that its own bytes may make an entity.
const byForm = numEntityKinds

// hintAt says what token i is by what stands around it; byForm where its own bytes
// decide, noEntity where nothing can make it one. It looks at the skeleton alone,
// so that it is the same for all lines of a leaf, but for words that vary.
func (s *scanner) hintAt(i int) EntityKind {
	t := s.toks[i]
	w := s.text(t)
	if t.kind == Secret {
		return noEntity
	}
	if h := s.unitHint(i); h != noEntity {
		return h
	}
	if i > 0 {
		if h := s.neighbourHint(i, w); h != noEntity {
			return h
		}
	}
	switch t.kind { //nolint:exhaustive // the others name nothing by themselves
	case Word, Name:
		if isExceptionClass(w) || isErrno(w) || isErrorCode(w) || isPodName(w) {
			return byForm
		}
	case IP, URL, Path, Duration, Size, ID, Hex, Value, Any:
		return byForm
	}
	return noEntity
}

// hints returns the hints of all tokens.
func (s *scanner) hints() []EntityKind {
	out := make([]EntityKind, len(s.toks))
	for i := range out {
		out[i] = s.hintAt(i)
	}
	return out
}

// neighbourHint judges token i by the word before it: its key, or its noun.
func (s *scanner) neighbourHint(i int, w string) EntityKind {
	prev := s.toks[i-1]
	sep := s.sep(i)
	key := s.text(prev)
	bare := strings.Trim(sep, " \"'`([")
	h := keyHint(key)
	if prev.kind != Word && h == noEntity {
		if s.toks[i].kind == Number && strings.HasPrefix(key, "HTTP/") && (sep == `" ` || sep == " ") {
			return HTTPStatus
		}
		return noEntity
	}
	noun := bare == "" && (sep == " " || len(sep) > 1 && sep[0] == ' ')
	switch {
	case bare == "=" || bare == ":" || bare == "\":" || bare == "/" && (h == Pod || h == Node || h == Namespace):
		if s.toks[i].kind == Word && bare == ":" && strings.HasSuffix(sep, ": ") && !nameLike(w) && h != Exception && h != Errno {
			return noEntity // prose: "node: is gone"
		}
		return h
	case key == "SQLSTATE" && (noun || bare == "[" || sep == "["):
		return SQLState
	case !noun:
		return noEntity
	case s.toks[i].kind == Number:
		switch key {
		case "HTTP", "status", "returned", "responded", "response":
			return HTTPStatus
		case "code":
			if i > 1 && s.text(s.toks[i-2]) == "status" {
				return HTTPStatus
			}
		case "size", "bytes", "length", "took", "duration", "elapsed", "latency", "path", "file":
			return noEntity // without its unit
		}
		return h
	}
	switch h { //nolint:exhaustive // the others are known by their form
	case Pod, Node, Namespace, Container, Host, User:
		if s.toks[i].kind != Word || nameLike(w) || len(sep) > 1 || i > 1 && isPreposition(s.text(s.toks[i-2])) {
			return h
		}
	case TraceID, RequestID, ErrorCode, Errno:
		if s.toks[i].kind != Word {
			return h
		}
	}
	return noEntity
}

// unitHint finds a number whose unit is the next word: 250 ms, 4096 bytes.
func (s *scanner) unitHint(i int) EntityKind {
	if s.toks[i].kind != Number || i+1 >= len(s.toks) || s.next(i) != " " {
		return noEntity
	}
	switch s.text(s.toks[i+1]) {
	case "ns", "us", "µs", "ms", "s", "sec", "secs", "second", "seconds", "milliseconds", "millis", "minutes", "min", "mins", "hours", "microseconds":
		return Elapsed
	case "bytes", "byte", "kilobytes", "megabytes":
		return Bytes
	}
	return noEntity
}

// nameLike reports whether a word is a name rather than a word of prose: letters in
// parts.
func nameLike(w string) bool {
	return hasDigit(w) || strings.IndexByte(w, '-') > 0 || strings.IndexByte(w, '_') > 0 || strings.IndexByte(w, '.') > 0
}

func isPreposition(w string) bool {
	switch w {
	case "for", "by", "of", "as", "from", "in", "on", "to", "invalid", "unknown":
		return true
	}
	return false
}
