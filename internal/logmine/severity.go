package logmine

// Severity is how bad a line says it is.
type Severity uint8

// The severities, from none given to the worst.
const (
	Unknown Severity = iota
	Debug
	Info
	Warning
	Error
	Critical
	numSeverities
)

var severityNames = [numSeverities]string{"unknown", "debug", "info", "warning", "error", "critical"}

// String returns the severity as the API spells it.
func (s Severity) String() string {
	if s < numSeverities {
		return severityNames[s]
	}
	return severityNames[Unknown]
}

// ParseSeverity reads the level words of the common logging libraries, in any case.
func ParseSeverity(w string) Severity {
	if len(w) == 0 || len(w) > 13 {
		return Unknown
	}
	var buf [13]byte
	for i := range len(w) {
		buf[i] = w[i]
		if w[i] >= 'A' && w[i] <= 'Z' {
			buf[i] |= 0x20
		}
	}
	switch string(buf[:len(w)]) {
	case "trace", "trc", "debug", "dbg", "verbose", "fine", "finer", "finest", "d", "v", "t":
		return Debug
	case "info", "inf", "information", "informational", "notice", "log", "i", "n", "config":
		return Info
	case "warn", "warning", "wrn", "w":
		return Warning
	case "error", "err", "severe", "e", "failure", "eror":
		return Error
	case "fatal", "ftl", "critical", "crit", "alert", "emerg", "emergency", "panic", "dpanic", "f", "c":
		return Critical
	}
	return Unknown
}

// guessSeverity reads a severity out of the words of a message that gives none.
func guessSeverity(msg string) Severity {
	worst := Unknown
	for i := 0; i < len(msg) && i < 512; {
		if classes[msg[i]]&isLetter == 0 {
			i++
			continue
		}
		j := i
		for j < len(msg) && classes[msg[j]]&isLetter != 0 {
			j++
		}
		if w := msg[i:j]; len(w) >= 4 {
			if s := ParseSeverity(w); s >= Warning {
				worst = max(worst, s)
			} else if isFailure(w) {
				worst = max(worst, Error)
			}
		}
		i = j
	}
	return worst
}

func isFailure(w string) bool {
	if n := len(w); n > 9 && (w[n-9:] == "Exception" || w[n-5:] == "Error") {
		return true
	}
	switch w {
	case "failed", "Failed", "FAILED", "exception", "Exception", "Traceback", "errors", "cannot", "refused", "Unable", "unable":
		return true
	}
	return false
}
