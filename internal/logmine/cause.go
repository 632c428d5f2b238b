package logmine

import "strings"

// Cause is what a stack trace comes down to.
type Cause struct {
	Class   string // of the innermost exception; panic for Go
	Message string
	Frame   string // the first frame of the program's own; "" if there is none
}

// message writes what an event with this cause is about, names without their
// packages.
func (c *Cause) message(head string) string {
	text, whole := lastParts(c.Class, 1), c.Class
	if c.Message != "" {
		text += ": " + c.Message
		whole += ": " + c.Message
	}
	if i := strings.Index(head, whole); i >= 0 {
		text = head[:i] + text + head[i+len(whole):]
	} else if head != "" && !strings.HasPrefix(head, "Traceback (most") {
		text = head + " → " + text
	}
	if c.Frame != "" {
		text += " at " + lastParts(c.Frame, 2)
	}
	return text
}

// lastParts returns the last n parts of a dotted name, and what stands behind it in
// brackets.
func lastParts(name string, n int) string {
	end := strings.IndexByte(name, '(')
	if end > 0 && name[end-1] == '.' { // a method of Go: cart.(*Cart).Add
		return name[strings.LastIndexByte(name, '/')+1:]
	}
	if end < 0 {
		end = len(name)
	}
	for i := end - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[i+1:]
		}
		if name[i] == '.' {
			if n--; n == 0 {
				return name[i+1:]
			}
		}
	}
	return name
}

// RootCause reads a stack trace of Java (and what prints like it), Python or Go, and
// reports whether text holds one.
func RootCause(text string) (Cause, bool) {
	lines := strings.Split(text, "\n")
	for _, read := range [...]func([]string) (Cause, bool){pythonCause, goCause, javaCause} {
		if c, ok := read(lines); ok {
			return c, true
		}
	}
	return Cause{}, false
}

// javaCause takes the last "Caused by:"; without one the line before the frames.
func javaCause(lines []string) (Cause, bool) {
	at, frames := -1, 0
	for i, l := range lines {
		t := strings.TrimSpace(l)
		switch {
		case strings.HasPrefix(t, "Caused by: ") && !strings.HasPrefix(l, "\t\t"): // deeper ones are of suppressed exceptions
			at = i
		case strings.HasPrefix(t, "at "):
			if frames++; at < 0 && i > 0 {
				at = i - 1
			}
		}
	}
	if at < 0 || frames == 0 {
		return Cause{}, false
	}
	var c Cause
	t := strings.TrimPrefix(strings.TrimSpace(lines[at]), "Caused by: ")
	if rest, ok := strings.CutPrefix(t, "Exception in thread "); ok {
		if i := strings.Index(rest, "\" "); i >= 0 {
			t = rest[i+2:]
		}
	}
	c.Class, c.Message, _ = strings.Cut(t, ": ")
	if !isExceptionClass(c.Class) { // "Request failed java.io.IOException: …"
		if i := strings.LastIndexByte(c.Class, ' '); i >= 0 && isExceptionClass(c.Class[i+1:]) {
			c.Class = c.Class[i+1:]
		} else if strings.ContainsRune(c.Class, ' ') {
			return Cause{}, false
		}
	}
	c.Frame = firstFrame(lines[at+1:], func(l string) string {
		f, ok := strings.CutPrefix(strings.TrimSpace(l), "at ")
		if !ok {
			return ""
		}
		return f[strings.LastIndexByte(f[:max(strings.IndexByte(f, '('), 0)], '/')+1:] // without its module
	}, "java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.", "org.springframework.", "org.apache.",
		"org.hibernate.", "io.netty.", "reactor.", "com.fasterxml.", "org.eclipse.jetty.", "io.grpc.", "com.google.common.", "node:", "internal/")
	return c, true
}

// pythonCause takes the first trace: later ones arose while it was handled.
func pythonCause(lines []string) (Cause, bool) {
	start := -1
	for i, l := range lines {
		if strings.Contains(l, "Traceback (most recent call last)") {
			start = i
			break
		}
	}
	if start < 0 {
		return Cause{}, false
	}
	var c Cause
	own, last := "", ""
	for _, l := range lines[start+1:] {
		t := strings.TrimSpace(l)
		if f, ok := strings.CutPrefix(t, `File "`); ok && indented(l) {
			last = pythonFrame(f)
			if !strings.Contains(f, "site-packages") && !strings.Contains(f, "dist-packages") && !strings.Contains(f, "/lib/python") && !strings.HasPrefix(f, "<") {
				own = last
			}
			continue
		}
		if !indented(l) && t != "" {
			c.Class, c.Message, _ = strings.Cut(t, ": ")
			break
		}
	}
	if c.Frame = own; own == "" {
		c.Frame = last
	}
	return c, c.Class != ""
}

// pythonFrame turns `a/b.py", line 3, in f` into f(a/b.py:3).
func pythonFrame(f string) string {
	file, rest, _ := strings.Cut(f, `", line `)
	line, name, named := strings.Cut(rest, ", in ")
	if !named {
		return file + ":" + line
	}
	return name + "(" + file + ":" + line + ")"
}

// goCause takes the first panic and the first function that is not the runtime's.
func goCause(lines []string) (Cause, bool) {
	var c Cause
	start := -1
	for i, l := range lines {
		for _, p := range [...]string{"panic: ", "fatal error: "} {
			if at := strings.Index(l, p); at >= 0 && c.Class == "" {
				c.Class, c.Message = strings.TrimSuffix(p, ": "), strings.TrimSuffix(l[at+len(p):], " [recovered]")
			}
		}
		if strings.HasPrefix(strings.TrimSpace(l), "goroutine ") && strings.HasSuffix(l, "]:") {
			start = i
			break
		}
	}
	if start < 0 {
		return Cause{}, false
	}
	if c.Class == "" {
		c.Class = "goroutine trace"
	}
	c.Frame = firstFrame(lines[start+1:], func(l string) string {
		if indented(l) {
			return ""
		}
		l, _ = strings.CutPrefix(l, "created by ")
		l, _, _ = strings.Cut(l, " in goroutine ")
		open := strings.LastIndexByte(l, '(')
		if open <= 0 || l[open-1] == '.' {
			return l
		}
		return l[:open]
	}, "panic", "runtime.", "runtime/", "net/http.", "testing.", "main.main.func", "sync.", "reflect.", "google.golang.org/grpc.", "internal/")
	return c, true
}

// firstFrame returns the first frame that does not begin with one of the prefixes of
// libraries, or the first of all.
func firstFrame(lines []string, read func(string) string, libraries ...string) string {
	first := ""
	for _, l := range lines {
		f := read(l)
		if f == "" {
			continue
		}
		if first == "" {
			first = f
		}
		own := true
		for _, p := range libraries {
			own = own && !strings.HasPrefix(f, p)
		}
		if own {
			return f
		}
	}
	return first
}
