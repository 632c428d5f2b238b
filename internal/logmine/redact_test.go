package logmine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logmine"
)

// glue keeps samples of keys apart in this file, so that no scanner of sources takes
// them for real ones.
func glue(parts ...string) string { return strings.Join(parts, "") }

var jwt = glue("eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0NTY3ODkwIn0", ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U")

// secrets holds lines, what of them must be gone, and what they become.
var secrets = []struct{ line, secret, want string }{
	{"GET /x Authorization: Bearer " + jwt + " 200", jwt, "GET /x Authorization: Bearer <redacted-secret> 200"},
	{"sent bearer abc123DEF456ghi", "abc123DEF456ghi", "sent bearer <redacted-secret>"},
	{"Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA", "Authorization: Basic <redacted-secret>"},
	{"authorization=AbC/99x&x=1", "AbC/99x", "authorization=<redacted-secret>&x=1"},
	{"connect postgres://app:s3cr3t!@db.example.org:5432/shop failed", "s3cr3t", "connect postgres://redacted@db.example.org:5432/shop failed"},
	{"clone https://x-token-auth:hunter@git.example.org/a.git", "hunter", "clone https://redacted@git.example.org/a.git"},
	{"redis://:pw@cache:6379/0", "pw@", "redis://redacted@cache:6379/0"},
	{"using key " + glue("AKIA", "IOSFODNN7EXAMPLE") + " in eu", glue("AKIA", "IOSFODNN7EXAMPLE"), "using key <redacted-key> in eu"},
	{"push with " + glue("ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"), "16C7e42F", "push with <redacted-key>"},
	{"slack " + glue("xoxb-", "263594206564-2343594206564-FGqddMF8t08v8N7Oq4i57vs1"), "2343594206564", "slack <redacted-key>"},
	{"stripe: " + glue("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc") + ", ok", "4eC39", "stripe: <redacted-key>, ok"},
	{"jwt=" + jwt, jwt, "jwt=<redacted-key>"},
	{"session " + jwt + " ended", jwt, "session <redacted-key> ended"},
	{glue("key: -----BEGIN RSA ", "PRIVATE KEY-----\nMIIEow==\n-----END RSA ", "PRIVATE KEY-----") + " loaded", "MIIEow", "key: <redacted-key> loaded"},
	{glue("-----BEGIN ", "PRIVATE KEY-----\nMIIEow=="), "MIIEow", "<redacted-key>"},
	{"login user=bob password=hunter ok", "hunter", "login user=bob password=<redacted-secret> ok"},
	{"DB_PASSWORD: 'p w'", "p w", "DB_PASSWORD: '<redacted-secret>'"},
	{`{"user":"bob","password":"hunter2","n":1}`, "hunter2", `{"user":"bob","password":"<redacted-secret>","n":1}`},
	{`{"body":"{\"client_secret\":\"abc\"}"}`, `abc`, `{"body":"{\"client_secret\":\"<redacted-secret>\"}"}`},
	{"GET /cb?code=1&access_token=ya29x&state=2", "ya29x", "GET /cb?code=1&access_token=<redacted-secret>&state=2"},
	{"X-Api-Key: 9f4ef63c11aa", "9f4ef63c11aa", "X-Api-Key: <redacted-secret>"},
	{"config apiKey=abcd, region=eu", "abcd", "config apiKey=<redacted-secret>, region=eu"},
	{"the password is hunter2", "hunter2", "the password is <redacted-secret>"},
	{"mail from bob.o+x@example.org rejected", "bob.o", "mail from <redacted-email> rejected"},
	{"to=<ann@example.co.uk>, relay", "ann", "to=<<redacted-email>>, relay"},
	{"paid with 4111 1111 1111 1111 today", "4111", "paid with <redacted-card> today"},
	{"card=5500005555555559 exp", "5500005555555559", "card=<redacted-card> exp"},
	{"amex 3782-822463-10005.", "822463", "amex <redacted-card>."},
}

func TestRedact(t *testing.T) {
	for _, s := range secrets {
		got := logmine.Redact(s.line)
		require.Equal(t, s.want, got)
		require.NotContains(t, got, s.secret)
		require.Equal(t, got, logmine.Redact(got), "a second pass finds nothing")
	}
}

// harmless lines look like secrets and are none.
var harmless = []string{
	"request b9000564-fe1a-409b-b8cc-1e88b294cd1d took 3 s",
	"digest sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	"commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b pushed",
	"image registry.example.org/shop/web:v1.2.3-rc.1@sha256:9f86d081884c7d65",
	"lodash@4.17.21 and pkg@v1.2.3-beta.rc installed",
	"Started getty@tty1.service",
	"com.acme.Shop@6d06d69c closed",
	"trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
	"invalid token: unexpected end of input",
	"max_tokens=100 tokens: 5 token_count=7 tokenizer=bpe",
	"secret: not found, token: expired",
	"at 2026-11-22T12:00:00.123456789Z ts=1795435200123456789",
	"receiving block blk_-1608999687919862906 and blk_4532015112830366",
	"order 4532015112830367 shipped", // fails the check digit
	"12345678-1234-1234-1234-123456789012",
	"scheme https://example.org:8080/a?b=c user@ host",
	"the bearer of bad news, basic authentication",
	"password=****** token= passwd: null",
	"sk-learn and AKIA are names; eyJ too",
	"10.11.10.1:54320 -> [fe80::1]:443",
	"token=Token{9f4ef63 ActivityRecord{c1 u0}} held",
	"Bad activity token: android.os.BinderProxy@e93ae3",
	"passport: green, tokens used",
	"",
}

func TestRedactLeavesTheRestAlone(t *testing.T) {
	for _, s := range harmless {
		require.Equal(t, s, logmine.Redact(s))
	}
}

func TestRedactAllocatesNothingWhenNothingIsFound(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, s := range harmless {
			logmine.Redact(s)
		}
	}))
}

// TestNothingSecretIsKept: neither template nor example shows it, whether the first
// or a later line of its kind held it, and the counts add up.
func TestNothingSecretIsKept(t *testing.T) {
	m := logmine.New(logmine.Options{})
	for range 3 {
		for _, s := range secrets {
			m.Add(s.line, 0, logmine.Unknown)
		}
	}
	sum := m.Counts().Other
	for _, p := range m.Patterns() {
		sum += p.Count
		for _, s := range secrets {
			require.NotContains(t, p.Template, s.secret)
			require.NotContains(t, p.Example, s.secret)
		}
	}
	require.Equal(t, m.Counts().Lines, sum)

	got := mine(t, logmine.Options{}, "login user=bob password=hunter ok", "login user=bob password=swordfish ok", "mail from a@example.org rejected")
	require.Equal(t, []string{"login user=bob password=<*> ok", "login user=bob password=<*> ok", "mail from <*> rejected"}, got)
}

func FuzzRedact(f *testing.F) {
	for _, s := range secrets {
		f.Add(s.line)
	}
	for _, s := range harmless {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := logmine.Redact(s)
		require.LessOrEqual(t, len(once), 32*len(s)+32)
	})
}

func BenchmarkRedactNothing(b *testing.B) {
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		logmine.Redact(benchLines[i])
		if i++; i == len(benchLines) {
			i = 0
		}
	}
}
