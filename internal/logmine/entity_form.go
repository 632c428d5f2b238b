package logmine

import "strings"

// maxEntityBytes bounds a value: longer ones are no names.
const maxEntityBytes = 128

// appendEntity appends what token i is, given its hint.
func (s *scanner) appendEntity(dst []Entity, i int, h EntityKind) []Entity {
	if h == noEntity {
		return dst
	}
	t := s.toks[i]
	w := s.text(t)
	if len(w) > maxEntityBytes && t.kind != URL && t.kind != Path {
		return dst
	}
	if h == byForm {
		return appendForm(dst, t.kind, w)
	}
	return s.appendHinted(dst, i, h, w)
}

// appendForm appends what a token is by its own bytes.
func appendForm(dst []Entity, k Kind, w string) []Entity {
	switch k { //nolint:exhaustive // the others name nothing by their form
	case URL:
		return append(dst, Entity{Link, bareURL(w)})
	case Path:
		if out := appendAddress(dst, strings.TrimPrefix(w, "/")); len(out) > len(dst) {
			return out
		}
		return append(dst, Entity{File, barePath(w)})
	case Duration:
		return append(dst, Entity{Elapsed, w})
	case Size:
		return append(dst, Entity{Bytes, w})
	}
	switch {
	case k == IP:
		return appendAddress(dst, w)
	case isErrno(w):
		return append(dst, Entity{Errno, w})
	case isErrorCode(w):
		return append(dst, Entity{ErrorCode, w})
	case isExceptionClass(w):
		return append(dst, Entity{Exception, w})
	case isPodName(w):
		return append(dst, Entity{Pod, w})
	case k == Value && len(w) > 8:
		if isURL(w) {
			return append(dst, Entity{Link, bareURL(w)})
		}
		return appendAddress(dst, w)
	case k == Value && isDuration(w):
		return append(dst, Entity{Elapsed, w})
	}
	return dst
}

// appendHinted appends what a token is by its key, if the value can be that.
func (s *scanner) appendHinted(dst []Entity, i int, h EntityKind, w string) []Entity {
	t := s.toks[i]
	ok := true
	switch h { //nolint:exhaustive // the others take any word
	case Pod, Node, Namespace, Container:
		if ns, name, cut := strings.Cut(w, "/"); cut {
			if h == Pod && isLabel(ns) && isLabel(name) { // klog writes pod="shop/web-1"
				return append(dst, Entity{Namespace, ns}, Entity{Pod, name})
			}
			ok = false
		}
		if t.kind == IP {
			return appendAddress(dst, w)
		}
		ok = ok && isLabel(w)
	case Host, Address:
		if out := appendAddress(dst, strings.TrimPrefix(w, "/")); len(out) > len(dst) {
			return out
		}
		host, port, cut := strings.Cut(w, ":")
		if h == Address && !cut && !strings.Contains(w, ".") || !isLabel(host) || allOf(w, isDigit) {
			return dst
		}
		dst = append(dst, Entity{Host, host})
		if cut && isPort(port) {
			dst = append(dst, Entity{Port, port})
		}
		return dst
	case Port:
		ok = isPort(w)
	case HTTPStatus:
		ok = len(w) == 3 && allOf(w, isDigit) && w[0] >= '1' && w[0] <= '5'
	case SQLState:
		ok = len(w) == 5 && isUpperCode(w)
	case Errno:
		ok = isErrno(w) || allOf(strings.TrimPrefix(w, "-"), isDigit) && len(w) < 5
	case ErrorCode:
		ok = len(w) <= 40 && !strings.ContainsAny(w, " /")
	case TraceID, RequestID:
		ok = len(w) >= 8 && !strings.ContainsAny(w, " /") && hasDigit(w)
	case User:
		ok = t.kind != Email && t.kind != Path && t.kind != URL && !isNothing(w) && !strings.ContainsAny(w, " @/=") && w != "in" && w != "not"
	case Exception:
		ok = isExceptionClass(w)
	case Elapsed, Bytes:
		return s.appendQuantity(dst, i, h, w)
	case Link, File:
		return appendPlace(dst, h, w)
	}
	if !ok {
		if t.kind == Word {
			return dst
		}
		return appendForm(dst, t.kind, w)
	}
	return append(dst, Entity{h, w})
}

// appendQuantity appends a number with its unit.
func (s *scanner) appendQuantity(dst []Entity, i int, h EntityKind, w string) []Entity {
	t := s.toks[i]
	switch {
	case t.kind == Number && i+1 < len(s.toks) && s.unitHint(i) != noEntity:
		return append(dst, Entity{h, s.line[t.start:s.toks[i+1].end]})
	case h == Elapsed && isDuration(w), h == Bytes && t.kind == Size:
		return append(dst, Entity{h, w})
	case t.kind == Number && h == Bytes && allOf(w, isDigit):
		return append(dst, Entity{h, w})
	}
	return dst
}

func appendPlace(dst []Entity, h EntityKind, w string) []Entity {
	switch {
	case isURL(w):
		return append(dst, Entity{Link, bareURL(w)})
	case isPath(w), strings.HasPrefix(w, "/"):
		return append(dst, Entity{File, barePath(w)})
	case h == File && strings.ContainsAny(w, "./") && !strings.Contains(w, " "):
		return append(dst, Entity{File, w})
	}
	return dst
}

// appendAddress appends an IP address and the port behind it.
func appendAddress(dst []Entity, w string) []Entity {
	n := ipv4Len(w)
	if n > 0 {
		switch {
		case n == len(w), w[n] == '/' && allOf(w[n+1:], isDigit):
			return append(dst, Entity{Address, w[:n]})
		case w[n] == ':' && isPort(w[n+1:]):
			return append(dst, Entity{Address, w[:n]}, Entity{Port, w[n+1:]})
		}
		return dst
	}
	if isHexGroups(w) && (strings.Contains(w, "::") || strings.Count(w, ":") == 7) {
		return append(dst, Entity{Address, w})
	}
	return dst
}

// ipv4Len returns the length of the dotted address that s begins with.
func ipv4Len(s string) int {
	i := 0
	for part := range 4 {
		v, start := 0, i
		for i < len(s) && i < start+3 && classes[s[i]]&isDigit != 0 {
			v = v*10 + int(s[i]-'0')
			i++
		}
		if i == start || v > 255 {
			return 0
		}
		if part < 3 {
			if i >= len(s) || s[i] != '.' {
				return 0
			}
			i++
		}
	}
	if i < len(s) && (classes[s[i]]&(isDigit|isLetter) != 0 || s[i] == '.') {
		return 0
	}
	return i
}

func isPort(s string) bool {
	if len(s) == 0 || len(s) > 5 || !allOf(s, isDigit) {
		return false
	}
	v := 0
	for i := range len(s) {
		v = v*10 + int(s[i]-'0')
	}
	return v > 0 && v < 1<<16
}

// isLabel reports whether s can be the name of a Kubernetes object or of a host.
func isLabel(s string) bool {
	for i := range len(s) {
		if b := s[i]; classes[b]&(isLetter|isDigit) == 0 && b != '-' && b != '.' && b != '_' {
			return false
		}
	}
	return s != "" && !isNothing(s)
}

func isUpperCode(s string) bool {
	for i := range len(s) {
		if b := s[i]; (b < '0' || b > '9') && (b < 'A' || b > 'Z') {
			return false
		}
	}
	return hasDigit(s)
}

// isExceptionClass reports whether w is the name of a class of exceptions, with or
// without its package.
func isExceptionClass(w string) bool {
	n := len(w)
	if n < 7 || n > maxEntityBytes || w[n-1] != 'n' && w[n-1] != 'r' && w[n-1] != 'e' && w[n-1] != 't' {
		return false
	}
	name := w[max(strings.LastIndexByte(w, '.'), strings.LastIndexByte(w, '$'))+1:]
	if len(name) < 7 || name[0] < 'A' || name[0] > 'Z' {
		return false
	}
	return strings.HasSuffix(name, "Exception") || strings.HasSuffix(name, "Error") && len(name) > 6 ||
		name == "Throwable" || strings.HasSuffix(name, "Interrupt") || strings.HasSuffix(name, "Fault") && len(name) > 7
}

// isErrno reports whether w is the name of an error of POSIX.
func isErrno(w string) bool {
	if len(w) < 4 || len(w) > 15 || w[0] != 'E' {
		return false
	}
	switch w {
	case "EPERM", "ENOENT", "EINTR", "EIO", "EBADF", "EAGAIN", "ENOMEM", "EACCES", "EFAULT", "EBUSY", "EEXIST", "ENODEV", "ENOTDIR",
		"EISDIR", "EINVAL", "ENFILE", "EMFILE", "EFBIG", "ENOSPC", "EROFS", "EPIPE", "EDEADLK", "ENOTEMPTY", "EPROTO", "EMSGSIZE",
		"EADDRINUSE", "EADDRNOTAVAIL", "ENETDOWN", "ENETUNREACH", "ECONNABORTED", "ECONNRESET", "ENOBUFS", "ENOTCONN", "ETIMEDOUT",
		"ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS", "ESTALE", "EDQUOT", "ECANCELED", "ENOTFOUND", "EAI_AGAIN":
		return true
	}
	return false
}

// isErrorCode reports whether w is a code as databases and browsers write it:
// ORA-00942, ERR_CONNECTION_RESET.
func isErrorCode(w string) bool {
	if len(w) < 6 || len(w) > 40 {
		return false
	}
	if strings.HasPrefix(w, "ERR_") {
		return true
	}
	dash := strings.IndexByte(w, '-')
	if dash < 3 || dash > 4 || len(w)-dash < 4 || !allOf(w[dash+1:], isDigit) {
		return false
	}
	switch w[:dash] {
	case "ORA", "SQL", "TNS", "PLS", "ERR", "DPY", "RMAN", "MSG", "CVE":
		return true
	}
	return false
}

// isPodName reports whether w has the form that Kubernetes gives the pods of a
// Deployment: name-<hash>-<five of its safe alphabet>.
func isPodName(w string) bool {
	n := len(w)
	if n < 13 || w[n-6] != '-' || !isSafe(w[n-5:]) {
		return false
	}
	dash := strings.LastIndexByte(w[:n-6], '-')
	return dash > 0 && n-6-dash-1 >= 6 && n-6-dash-1 <= 10 && isSafe(w[dash+1:n-6]) && hasDigit(w[dash:])
}

// isSafe reports whether s is of the alphabet of k8s.io/apimachinery's rand.String,
// which leaves out vowels and what looks alike.
func isSafe(s string) bool {
	for i := range len(s) {
		if strings.IndexByte("bcdfghjklmnpqrstvwxz2456789", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// bareURL cuts credentials, query and fragment off.
func bareURL(w string) string {
	w = barePath(w)
	if i := strings.Index(w, "://"); i > 0 {
		if at := strings.IndexByte(w[i+3:], '@'); at >= 0 && strings.IndexByte(w[i+3:i+3+at], '/') < 0 {
			return w[i+3+at+1:]
		}
	}
	return strings.TrimRight(w, ".:,")
}

func barePath(w string) string {
	if i := strings.IndexAny(w, "?#"); i > 0 {
		w = w[:i]
	}
	return w
}
