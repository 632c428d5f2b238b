package logmine

import "strings"

// What stands in place of a secret or of personal data. A mask reads as one
// parameter when a line is mined.
const (
	maskOpen       = "<redacted-"
	maskSecret     = maskOpen + "secret>"
	maskKey        = maskOpen + "key>"
	maskCredential = "redacted" // inside of a URL, which stays one
	maskEmail      = maskOpen + "email>"
	maskCard       = maskOpen + "card>"
)

// Redact returns s with what must not be kept replaced by masks: bearer tokens and
// other credentials of HTTP, user and password in URLs, the keys that the large
// vendors give out (by their prefixes), JSON web tokens, private key blocks, the
// values behind keys such as password= and token:, e-mail addresses, and numbers of
// payment cards (by the ranges of the issuers and the check digit of ISO/IEC 7812).
//
// It errs on the side of hiding: a word behind "password: " is hidden, be it one or
// not. What it cannot know is a secret that stands alone and looks like any hash:
// those are parameters in templates, but an example shows them. It allocates nothing
// when it finds nothing. The cost is a pass over s; s is cut into words once.
func Redact(s string) string {
	if !maySecret(s) {
		return s
	}
	r := redactor{in: s}
	r.privateKeys()
	for i := 0; i < len(s); {
		if classes[s[i]]&isSpace != 0 {
			i++
			continue
		}
		if n := r.at(i); n > 0 {
			i += n
			continue
		}
		i++
	}
	return r.done()
}

// maySecret reports whether s has any of what a secret needs: a run of 13 bytes
// without a blank, a sign between key and value, or an at sign.
func maySecret(s string) bool {
	run := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '@', c == '=', c == ':':
			return true
		case classes[c]&isSpace != 0:
			run = 0
		default:
			if run++; run >= 13 {
				return true
			}
		}
	}
	return strings.ContainsAny(s, "0123456789") || strings.Contains(s, "earer ") || strings.Contains(s, "EARER ")
}

// redactor builds the result; without a finding it holds nothing.
type redactor struct {
	in   string
	out  []byte
	from int // what of in is in out already
}

// hide replaces in[a:b].
func (r *redactor) hide(a, b int, mask string) {
	if a < r.from || b <= a {
		return
	}
	r.out = append(append(r.out, r.in[r.from:a]...), mask...)
	r.from = b
}

func (r *redactor) done() string {
	if r.from == 0 && r.out == nil {
		return r.in
	}
	return string(append(r.out, r.in[r.from:]...))
}

// privateKeys hides the blocks of RFC 7468 that hold a private key, to their end
// line or, where that was cut off, to the end of the text.
func (r *redactor) privateKeys() {
	const begin, private, end = "-----BEGIN ", "PRIVATE KEY-----", "-----END "
	for at := 0; ; {
		i := strings.Index(r.in[at:], begin)
		if i < 0 {
			return
		}
		i += at
		at = i + len(begin)
		k := strings.Index(r.in[at:], private)
		if k < 0 || k > 32 {
			continue
		}
		stop := len(r.in)
		if e := strings.Index(r.in[at+k:], end); e >= 0 {
			if p := strings.Index(r.in[at+k+e:], private); p >= 0 && p < 48 {
				stop = at + k + e + p + len(private)
			}
		}
		r.hide(i, stop, maskKey)
		at = stop
	}
}

// at looks at what begins at i, which is no blank, and returns how many bytes were
// settled; 0 where nothing begins.
func (r *redactor) at(i int) int {
	if i < r.from {
		return r.from - i
	}
	s := r.in
	c := s[i]
	switch {
	case classes[c]&(isLetter|isDigit) == 0:
		return 0
	case i > 0 && isWordByte(s[i-1]):
		return 0
	}
	end := i
	for end < len(s) && isWordByte(s[end]) {
		end++
	}
	if n := r.scheme(i, end); n > 0 {
		return n
	}
	if n := r.card(i); n > 0 {
		return n
	}
	if n := vendorKey(s[i:]); n > 0 {
		r.hide(i, i+n, maskKey)
		return n
	}
	if end < len(s) && (s[end] == '@' || s[end] == '%' || s[end] == '+') {
		if n := emailLen(s[i:]); n > 0 {
			r.hide(i, i+n, maskEmail)
			return n
		}
	}
	if strings.HasPrefix(s[end:], "://") {
		if n := r.userinfo(end + 3); n > 0 {
			return end + 3 + n - i
		}
	}
	if n := r.keyed(i, end); n > 0 {
		return n
	}
	return end - i
}

// isWordByte reports whether b belongs to a name or a token: letters, digits, and
// what joins them.
func isWordByte(b byte) bool {
	return classes[b]&(isLetter|isDigit) != 0 || b == '_' || b == '-' || b == '.'
}

// scheme hides what follows Bearer and Basic, the way HTTP sends them.
func (r *redactor) scheme(i, end int) int {
	s := r.in
	w := s[i:end]
	if end >= len(s) || s[end] != ' ' {
		return 0
	}
	least := 8
	switch {
	case strings.EqualFold(w, "bearer"):
	case strings.EqualFold(w, "basic"):
		least = 12
	default:
		return 0
	}
	n := tokenLen(s[end+1:])
	v := s[end+1 : end+1+n]
	if n < least || !looksRandom(v) {
		return 0
	}
	r.hide(end+1, end+1+n, maskSecret)
	return end + 1 + n - i
}

// tokenLen returns the length of the token of RFC 6750 (b64token) that s begins with.
func tokenLen(s string) int {
	n := 0
	for n < len(s) && (isWordByte(s[n]) && s[n] < 0x80 || strings.IndexByte("~+/=", s[n]) >= 0) {
		n++
	}
	return n
}

// looksRandom tells a token from a word of prose: it has a digit, a change of case
// inside, a sign that words lack, or the length of none.
func looksRandom(s string) bool {
	if len(s) >= 24 {
		return true
	}
	for i := range len(s) {
		switch b := s[i]; {
		case b >= '0' && b <= '9', strings.IndexByte("_+/=~!#$%^&*", b) >= 0:
			return true
		case i > 0 && b >= 'A' && b <= 'Z' && s[i-1] >= 'a' && s[i-1] <= 'z':
			return true
		}
	}
	return false
}

// userinfo hides user:password@ at the start of a URL's authority, and returns how
// many bytes it and its at sign take.
func (r *redactor) userinfo(a int) int {
	s := r.in
	colon := false
	for i := a; i < len(s) && i < a+512; i++ {
		switch b := s[i]; {
		case b == '@':
			if colon || looksRandom(s[a:i]) { // else a user alone
				r.hide(a, i, maskCredential)
			}
			return i + 1 - a
		case b == ':':
			colon = true
		case classes[b]&isSpace != 0, strings.IndexByte("/?#\"'<>\\", b) >= 0:
			return 0
		}
	}
	return 0
}
