package logmine

import "strings"

// secretKey says how sure a key is that its value is a secret.
type secretKey uint8

const (
	notSecret  secretKey = iota
	maybe                // token, secret, cookie: words of prose stand behind their colon too
	password             // whatever stands behind it
	authHeader           // the scheme stands between
)

// secretKeyOf judges a key by its last parts, in any case and joined in any way:
// DB_PASSWORD, clientSecret, X-Api-Key.
func secretKeyOf(key string) secretKey {
	if len(key) < 3 || len(key) > 64 {
		return notSecret
	}
	var buf [64]byte
	n := 0
	for i := range len(key) {
		b := key[i]
		if b == '_' || b == '-' || b == '.' {
			continue
		}
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		buf[n] = b
		n++
	}
	k := buf[:n]
	ends := func(words ...string) bool {
		for _, w := range words {
			if n >= len(w) && string(k[n-len(w):]) == w {
				return true
			}
		}
		return false
	}
	switch {
	case ends("password", "passwd", "passphrase", "passcode", "userpass", "dbpass"), string(k) == "pwd", string(k) == "pass", string(k) == "pin",
		ends("secretkey", "secretaccesskey", "privatekey", "clientsecret", "sharedsecret", "encryptionkey", "signingkey", "accountkey"):
		return password
	case ends("authorization"):
		return authHeader
	case ends("token", "secret", "apikey", "accesskey", "accesskeyid", "cookie", "credential", "credentials", "sessionid", "sessionkey", "jsessionid"),
		string(k) == "sig", string(k) == "signature", string(k) == "xamzsignature", string(k) == "authkey", string(k) == "sid" && key == "SID":
		return maybe
	}
	return notSecret
}

// keyed hides the value behind a key that names a secret: in[i:end] is the key.
func (r *redactor) keyed(i, end int) int {
	s := r.in
	kind := secretKeyOf(s[i:end])
	if kind == notSecret {
		return 0
	}
	a, sign := end, byte(0)
	for a < len(s) && (s[a] == '"' || s[a] == '\'' || s[a] == '\\' || s[a] == ']') {
		a++ // "password": "…", escaped too
	}
	quotedKey := a > end
	for a < len(s) && s[a] == ' ' {
		a++
	}
	switch {
	case a < len(s) && (s[a] == '=' || s[a] == ':'):
		sign = s[a]
		a++
		if sign == ':' && a < len(s) && s[a] == '=' {
			a++
		}
	case a+4 < len(s) && s[a:a+3] == "is ":
		a += 3
	default:
		return 0
	}
	for a < len(s) && s[a] == ' ' && (sign == ':' || sign == '=' && s[end] == ' ') {
		a++ // "key: value", "key = value"; behind "key= " stands nothing
	}
	quote := byte(0)
	for a < len(s) && (s[a] == '"' || s[a] == '\'' || s[a] == '\\' || s[a] == '`') {
		quote = s[a]
		a++
	}
	if kind == authHeader { // Authorization: Bearer abc
		if n := schemeLen(s[a:]); n > 0 {
			a += n
		} else {
			kind = maybe
		}
	}
	b := valueEnd(s, a, quote)
	v := s[a:b]
	prose := (sign == ':' && !quotedKey || sign == 0) && quote == 0
	switch {
	case v == "" || isHarmless(v):
		return 0
	case kind == maybe && quote == 0 && strings.ContainsAny(v, "{(@<"):
		return 0 // an object: token=Token{9f4e x}, token: Binder@e93ae3
	case kind == maybe && prose && (!looksRandom(v) || len(v) < 8):
		return 0
	case kind == password && sign == 0 && !looksRandom(v):
		return 0
	}
	r.hide(a, b, maskSecret)
	return b - i
}

// schemeLen returns the length of an authentication scheme and its blank.
func schemeLen(s string) int {
	for _, w := range [...]string{"Bearer ", "Basic ", "Digest ", "Token ", "ApiKey ", "AWS4-HMAC-SHA256 ", "Negotiate "} {
		if len(s) > len(w) && strings.EqualFold(s[:len(w)], w) {
			return len(w)
		}
	}
	return 0
}

// valueEnd returns where the value that begins at a ends: at its closing quote, or
// before what ends a value in prose, queries, maps and lists.
func valueEnd(s string, a int, quote byte) int {
	for i := a; i < len(s); i++ {
		switch b := s[i]; {
		case quote != 0 && (b == quote || quote == '\\' && b == '"'), b == '\\' && quote != 0 && i+1 < len(s) && s[i+1] == '"':
			return i
		case quote == 0 && (classes[b]&isSpace != 0 || strings.IndexByte("&,;\"'<>)]}|", b) >= 0):
			return i
		}
	}
	return len(s)
}

// isHarmless reports whether a value is none: nothing, a switch, or masked already.
func isHarmless(v string) bool {
	switch v {
	case "true", "false", "null", "nil", "none", "None", "NULL", "undefined", "required", "missing", "invalid", "incorrect", "expired", "empty", "not", "[REDACTED]", "(null)", "REDACTED":
		return true
	}
	return strings.Trim(v, "*xX.•") == ""
}
