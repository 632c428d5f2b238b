package web_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/web"
)

type section struct {
	Interval model.Duration    `yaml:"interval"`
	Size     int               `yaml:"size"`
	Ratio    float64           `yaml:"ratio"`
	On       bool              `yaml:"on"`
	Labels   map[string]string `yaml:"labels"`
	Password web.Secret        `yaml:"password"`
}

type config struct {
	Name     string        `yaml:"name"`
	Wait     time.Duration `yaml:"wait"`
	First    section       `yaml:"first"`
	Sections []section     `yaml:"sections"`
	Shared   `yaml:",inline"`
}

// Shared is exported, as the decoder asks of inlined structs.
type Shared struct {
	Color string `yaml:"color"`
}

func (c *config) Validate() error {
	var errs []error
	if c.First.Size < 0 {
		errs = append(errs, web.Invalid("first", errors.Join(web.Invalid("size", errors.New("must not be negative")), errors.New("and more"))))
	}
	if c.Name == "bad" {
		errs = append(errs, web.Invalid("name", errors.New("must not be bad")))
	}
	if c.Color == "none" {
		errs = append(errs, web.Invalid("sections[1].ratio", errors.New("needs a color")), web.Invalid("first.ratio", nil))
	}
	return errors.Join(errs...)
}

func TestParseYAMLFillsIn(t *testing.T) {
	c := config{Name: "kept", First: section{Size: 7}}
	require.NoError(t, web.ParseYAML("x.yml", []byte(`
first: &f
  interval: 1m30s
  ratio: 2
  on: true
  labels: {a: b}
  password: hunter2
wait: 3s
sections:
  - <<: *f
    size: 3
  - *f
color: red
`), &c))
	want := section{Interval: model.Duration(90 * time.Second), Ratio: 2, On: true, Labels: map[string]string{"a": "b"}, Password: "hunter2"}
	first, second := want, want
	first.Size, second.Size = 7, 3
	require.Equal(t, config{Name: "kept", Wait: 3 * time.Second, First: first, Sections: []section{second, want}, Shared: Shared{"red"}}, c)

	for _, empty := range []string{"", "# nothing\n", "---\n", "first:\n"} {
		c := config{Name: "kept"}
		require.NoError(t, web.ParseYAML("x.yml", []byte(empty), &c))
		require.Equal(t, "kept", c.Name)
	}
}

func TestParseYAMLNamesLineAndKey(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		err := web.ParseYAML("x.yml", []byte(strings.TrimPrefix(content, "\n")), &config{})
		require.Error(t, err)
		require.Equal(t, want, err.Error())
	}
	f("nam: x\n", `x.yml: line 1: nam: unknown key, did you mean "name"?`)
	f("zebra: x\n", `x.yml: line 1: zebra: unknown key`)
	f("name: x\nname: y\n", `x.yml: line 2: name: given twice, first at line 1`)
	f("first:\n  size: many\n", `x.yml: line 2: first.size: want a whole number, got "many"`)
	f("first:\n  on: 3\n", `x.yml: line 2: first.on: want true or false, got "3"`)
	f("first:\n  interval: soon\n", `x.yml: line 2: first.interval: not a valid duration string: "soon"`)
	f("wait: soon\n", `x.yml: line 1: wait: want a duration such as 30s, got "soon"`)
	f("first: [1]\n", `x.yml: line 1: first: want keys with values, got a list`)
	f("sections: 3\n", `x.yml: line 1: sections: want a list, got "3"`)
	f("name: {a: b}\n", `x.yml: line 1: name: want text, got keys with values`)
	f("first:\n  labels:\n    a: b\n    a: c\n", `x.yml: line 4: first.labels.a: given twice, first at line 3`)
	f("first:\n  password: {hunter2: x}\n", `x.yml: line 2: first.password: want text, got keys with values`)
	f("name: x\n---\nname: y\n", `x.yml: only one YAML document is allowed`)
	f("name: [\n", `x.yml: line 1: did not find expected node content`)
	f("just text\n", `x.yml: line 1: want keys with values, got "just text"`)
	f("name: bad\n", `x.yml: line 1: name: must not be bad`)
	// A whole file's mistakes come at once, in order.
	f(`
name: a
sections:
  - size: 1
    ratio: high
  - sise: 2
    interval: 5
first:
  on: perhaps
`, `x.yml: 4 problems
  line 4: sections[0].ratio: want a number, got "high"
  line 5: sections[1].sise: unknown key, did you mean "size"?
  line 6: sections[1].interval: not a valid duration string: "5"
  line 8: first.on: want true or false, got "perhaps"`)
	f("color: none\nfirst:\n  size: -1\nname: bad\nsections:\n- {}\n- on: true\n", `x.yml: 4 problems
  line 2: first: and more
  line 3: first.size: must not be negative
  line 4: name: must not be bad
  line 7: sections[1].ratio: needs a color`)
	// What is wrong by default has no line.
	err := web.ParseYAML("x.yml", nil, &config{Name: "bad"})
	require.EqualError(t, err, "x.yml: name: must not be bad")
}

// nested takes lists of any depth.
type nested []nested

func TestParseYAMLIsBounded(t *testing.T) {
	// Ten lists of ten references each: 10^10 values out of a few hundred bytes.
	var bomb strings.Builder
	bomb.WriteString("any:\n  any0: &a0 [[],[],[],[],[],[],[],[],[],[]]\n")
	for i := 1; i < 10; i++ {
		ref := fmt.Sprintf("*a%d", i-1)
		fmt.Fprintf(&bomb, "  any%d: &a%d [%s]\n", i, i, strings.Join([]string{ref, ref, ref, ref, ref, ref, ref, ref, ref, ref}, ","))
	}
	var open struct {
		Any map[string]nested `yaml:"any"`
	}
	require.ErrorContains(t, web.ParseYAML("x.yml", []byte(bomb.String()), &open), "refers to itself too often")
	deep := "sections: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	require.Error(t, web.ParseYAML("x.yml", []byte(deep), &config{}))

	file := filepath.Join(t.TempDir(), "huge.yml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("# ", 3<<20)), 0o600))
	require.ErrorContains(t, web.LoadYAML(file, &config{}), "is over 4194304 bytes")
	require.ErrorIs(t, web.LoadYAML(file+".none", &config{}), os.ErrNotExist)
}

func TestLoadYAMLReadsTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yml")
	require.NoError(t, os.WriteFile(file, []byte("name: n\n"), 0o600))
	var c config
	require.NoError(t, web.LoadYAML(file, &c))
	require.Equal(t, "n", c.Name)
	require.NoError(t, os.WriteFile(file, []byte("nope: n\n"), 0o600))
	var ce *web.ConfigError
	require.ErrorAs(t, web.LoadYAML(file, &c), &ce)
	require.Equal(t, file, ce.File)
	require.Equal(t, "nope", ce.Problems[0].Key)
}

func FuzzParseYAML(f *testing.F) {
	for _, s := range []string{"", "name: x", "first: {interval: 1m, labels: {a: b}}", "sections: [{size: 1}, *x]", "a: &a [*a]", "<<: {name: x}", "first: &f {size: 1}\nsections: [*f, {<<: *f}]", "name: !!binary aGk=", "? {a: b}\n: c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var c config
		if err := web.ParseYAML("x.yml", content, &c); err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		// What was accepted strictly is accepted by the decoder too, and what it holds can be written.
		_, err := yaml.Marshal(c)
		require.NoError(t, err)
	})
}
