package logmine

import "strings"

// vendorKeys are the prefixes under which vendors give out keys so that they can be
// found, with the least length of what follows and what it is made of.
var vendorKeys = [...]struct {
	prefix string
	least  int
	upper  bool // capitals and digits only, and exactly so many
}{
	{"AKIA", 16, true},
	{"ASIA", 16, true},
	{"AROA", 16, true},
	{"AIDA", 16, true},
	{"ABIA", 16, true},
	{"ACCA", 16, true}, // AWS
	{"ghp_", 30, false},
	{"gho_", 30, false},
	{"ghu_", 30, false},
	{"ghs_", 30, false},
	{"ghr_", 30, false},
	{"github_pat_", 22, false},
	{"glpat-", 20, false},
	{"glrt-", 20, false},
	{"gldt-", 20, false},
	{"xoxb-", 10, false},
	{"xoxp-", 10, false},
	{"xoxa-", 10, false},
	{"xoxr-", 10, false},
	{"xoxs-", 10, false},
	{"xoxe-", 10, false},
	{"xoxe.xox", 10, false},
	{"xapp-", 10, false},
	{"sk_live_", 16, false},
	{"rk_live_", 16, false},
	{"pk_live_", 16, false},
	{"sk_test_", 16, false},
	{"rk_test_", 16, false},
	{"whsec_", 16, false}, // Stripe
	{"sk-", 20, false},    // OpenAI and those that follow it
	{"AIza", 35, false},   // Google
	{"ya29.", 20, false},  // Google OAuth
	{"GOCSPX-", 20, false},
	{"SG.", 40, false}, // SendGrid
	{"npm_", 30, false},
	{"pypi-", 40, false},
	{"hf_", 30, false},
	{"dop_v1_", 40, false},
	{"dckr_pat_", 20, false},
	{"shpat_", 30, false},
	{"glsa_", 30, false},
	{"glc_", 30, false}, // Grafana
	{"hvs.", 20, false},
	{"hvb.", 20, false}, // Vault
	{"ATATT3", 30, false},
	{"ATCTT3", 30, false}, // Atlassian
	{"AGE-SECRET-KEY-1", 40, false},
	{"lin_api_", 30, false},
	{"tskey-", 16, false},
	{"dapi", 32, false},
	{"NRAK-", 20, false},
}

// vendorKey returns the length of the vendor's key or JSON web token that s begins
// with, 0 if there is none.
func vendorKey(s string) int {
	switch s[0] {
	case 'A', 'S', 'G', 'N', 'g', 'x', 's', 'r', 'p', 'w', 'y', 'n', 'h', 'd', 'l', 't':
	case 'e':
		return jwtLen(s)
	default:
		return 0
	}
	for i := range vendorKeys {
		k := &vendorKeys[i]
		if s[0] != k.prefix[0] || !strings.HasPrefix(s, k.prefix) {
			continue
		}
		n := len(k.prefix)
		for n < len(s) && (isWordByte(s[n]) && s[n] < 0x80) {
			if k.upper && (s[n] < '0' || s[n] > '9') && (s[n] < 'A' || s[n] > 'Z') {
				return 0
			}
			n++
		}
		for n > 0 && (s[n-1] == '.' || s[n-1] == '-') {
			n--
		}
		got := n - len(k.prefix)
		if got < k.least || k.upper && got != k.least || !k.upper && !hasDigit(s[len(k.prefix):n]) {
			continue
		}
		return n
	}
	return 0
}

// jwtLen returns the length of the JSON web token (RFC 7519) that s begins with: two
// or three parts in base64url, the first of which is an object.
func jwtLen(s string) int {
	if !strings.HasPrefix(s, "eyJ") {
		return 0
	}
	n, dots := 0, 0
	for n < len(s) && isWordByte(s[n]) && s[n] < 0x80 {
		if s[n] == '.' {
			dots++
		}
		n++
	}
	if dots < 1 || n < 24 {
		return 0
	}
	return n
}

// unitSuffixes end names of systemd units, which look like addresses.
var unitSuffixes = []string{".service", ".socket", ".timer", ".mount", ".slice", ".scope", ".target", ".device", ".path", ".swap"}

// emailLen returns the length of the e-mail address that s begins with.
func emailLen(s string) int {
	at := 0
	for at < len(s) && (isWordByte(s[at]) || s[at] == '+' || s[at] == '%') {
		at++
	}
	if at == 0 || at > 64 || at >= len(s) || s[at] != '@' {
		return 0
	}
	n := at + 1
	for n < len(s) && (isWordByte(s[n]) && s[n] != '_') {
		n++
	}
	for n > at && (s[n-1] == '.' || s[n-1] == '-') {
		n--
	}
	domain := s[at+1 : max(n, at+1)]
	dot := strings.LastIndexByte(domain, '.')
	if dot <= 0 || len(domain)-dot-1 < 2 || !allOf(domain[dot+1:], isLetter) || isVersion(domain) {
		return 0
	}
	for _, u := range unitSuffixes {
		if strings.HasSuffix(domain, u) {
			return 0
		}
	}
	return n
}

// isVersion reports whether a name behind an at sign is a version: v1.2.3-rc.one.
func isVersion(s string) bool {
	if len(s) > 1 && s[0] == 'v' && classes[s[1]]&isDigit != 0 {
		return true
	}
	i := 0
	for i < len(s) && classes[s[i]]&isDigit != 0 {
		i++
	}
	return i > 0 && i+1 < len(s) && s[i] == '.' && classes[s[i+1]]&isDigit != 0
}

// card hides the number of a payment card that begins at i: 13 to 19 digits in one
// piece or in the groups that are printed on cards.
func (r *redactor) card(i int) int {
	s := r.in
	if classes[s[i]]&isDigit == 0 || i > 0 && strings.IndexByte(".-_/:@", s[i-1]) >= 0 {
		return 0
	}
	var digits [19]byte
	var groups [5]int
	n, g, end := 0, 0, i
	for j := i; j < len(s) && n < 19; j++ {
		if classes[s[j]]&isDigit != 0 {
			digits[n] = s[j] - '0'
			n++
			groups[g]++
			end = j + 1
			continue
		}
		if s[j] != ' ' && s[j] != '-' || j+1 >= len(s) || classes[s[j+1]]&isDigit == 0 || g == 4 || s[j] != s[i+groups[0]] || groups[g] < 4 {
			break
		}
		g++
	}
	if end < len(s) && (isWordByte(s[end]) && (s[end] != '.' && s[end] != '-' || end+1 < len(s) && isWordByte(s[end+1]))) {
		return 0
	}
	switch groups {
	case [5]int{n}, [5]int{4, 4, 4, 4}, [5]int{4, 6, 5}, [5]int{4, 6, 4}, [5]int{4, 4, 4, 4, 3}:
	default:
		return 0
	}
	if !isCard(digits[:n]) {
		return 0
	}
	r.hide(i, end, maskCard)
	return end - i
}

// isCard checks a number against the ranges of the issuers and its check digit (Luhn).
func isCard(d []byte) bool {
	n := len(d)
	if n < 13 {
		return false
	}
	p2, p4 := int(d[0])*10+int(d[1]), int(d[0])*1000+int(d[1])*100+int(d[2])*10+int(d[3])
	switch {
	case d[0] == 4 && (n == 13 || n == 16 || n == 19): // Visa
	case (p2 >= 51 && p2 <= 55 || p4 >= 2221 && p4 <= 2720) && n == 16: // Mastercard
	case (p2 == 34 || p2 == 37) && n == 15: // American Express
	case (p4 == 6011 || p2 == 65 || p4 >= 6440 && p4 <= 6499 || p2 == 62) && n >= 16: // Discover, UnionPay
	case p4 >= 3528 && p4 <= 3589 && n >= 16: // JCB
	case (p2 == 36 || p2 == 38 || p4 >= 3000 && p4 <= 3059) && n == 14: // Diners
	default:
		return false
	}
	sum, same := 0, true
	for i := range d {
		v := int(d[n-1-i])
		same = same && d[i] == d[n-1]
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0 && !same
}
