package ask

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// streams reads a selector with its pipeline.
func (p *logParser) streams() (*LogStreams, error) {
	s, err := p.selector()
	if err != nil {
		return nil, err
	}
	return s, p.stages(s)
}

func (p *logParser) selector() (*LogStreams, error) {
	s := &LogStreams{}
	if err := p.want("{"); err != nil {
		return nil, err
	}
	for !p.op("}") {
		if len(s.Matchers) > 0 {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
		name, err := p.take(logName, "a label")
		if err != nil {
			return nil, err
		}
		m, err := p.matcher(name)
		if err != nil {
			return nil, err
		}
		s.Matchers = append(s.Matchers, m)
	}
	return s, nil
}

var matchTypes = map[string]labels.MatchType{"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}

// matcher reads ="value" behind the name.
func (p *logParser) matcher(name string) (*labels.Matcher, error) {
	op := p.peek()
	typ, ok := matchTypes[op.text]
	if op.kind != logOp || !ok {
		return nil, p.unexpected("= != =~ or !~")
	}
	p.at++
	value, err := p.take(logString, "a string")
	if err != nil {
		return nil, err
	}
	m, err := labels.NewMatcher(typ, name, value)
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", op.at, err)
	}
	return m, nil
}

// stages reads a pipeline to its end, or up to an unwrap.
func (p *logParser) stages(s *LogStreams) error {
	for {
		st, err := p.stage()
		if err != nil {
			return err
		}
		if st == nil {
			return nil
		}
		s.Stages = append(s.Stages, st)
	}
}

var lineOps = setOf("|=", "|~", "|>", "!=", "!~", "!>")

// stage reads one stage of a pipeline; nil at its end, and before an unwrap.
func (p *logParser) stage() (LogStage, error) {
	t, n := p.peek(), p.ahead()
	switch {
	case t.kind != logOp:
	case lineOps[t.text]:
		if n.kind != logString && (n.kind != logWord || n.text != "ip") {
			if t.text == "!=" { // a comparison of numbers, not a filter
				break
			}
			p.at++
			return nil, p.unexpected("a string")
		}
		p.at++
		return p.lineFilter(t)
	case t.text == "|" && n.kind == logWord && n.text == "unwrap":
	case t.text == "|":
		p.at++
		return p.pipe()
	}
	return nil, nil //nolint:nilnil // no stage is no error
}

func (p *logParser) lineFilter(op logToken) (LogStage, error) {
	f := LineFilters{Op: op.text}
	for {
		var t LogText
		if p.word("ip") {
			t.IP = true
			if err := p.want("("); err != nil {
				return nil, err
			}
		}
		var err error
		if t.Text, err = p.take(logString, "a string"); err != nil {
			return nil, err
		}
		if t.IP {
			if err := p.want(")"); err != nil {
				return nil, err
			}
		}
		if err := checkLineText(f.Op, t); err != nil {
			return nil, fmt.Errorf("at byte %d: %w", op.at, err)
		}
		f.Any = append(f.Any, t)
		if !p.word("or") {
			break
		}
	}
	if _, plain := matchTypes[f.Op]; (plain || f.Op == "|=" || f.Op == "|~") && len(f.Any) == 1 && !f.Any[0].IP {
		return LineFilter{f.Op, f.Any[0].Text}, nil
	}
	return f, nil
}

// pipe reads what stands behind a |.
func (p *logParser) pipe() (LogStage, error) {
	t := p.peek()
	if t.kind != logWord {
		return p.conditions(0)
	}
	p.at++
	switch t.text {
	case "json", "logfmt":
		return p.fieldParser(t)
	case "unpack":
		return LineParser{Kind: t.text}, nil
	case "regexp", "pattern":
		text, err := p.take(logString, "a string")
		if err == nil {
			err = checkParser(t.text, text)
		}
		return LineParser{t.text, text}, where(t, err)
	case "line_format":
		text, err := p.take(logString, "a string")
		if err == nil {
			err = checkTemplate(text)
		}
		return LineFormat{text}, where(t, err)
	case "label_format":
		return p.labelFormat(t)
	case "decolorize":
		return Decolorize{}, nil
	case "keep", "drop":
		return p.pick(t.text)
	}
	p.at--
	return nil, p.unexpected("a parser, a format or a label")
}

func where(t logToken, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("at byte %d: %w", t.at, err)
}

func (p *logParser) fieldParser(t logToken) (LogStage, error) {
	f := FieldParser{Kind: t.text}
	for t.text == "logfmt" && p.peek().kind == logFlag {
		f.Flags = append(f.Flags, p.next().text)
	}
	for p.peek().kind == logName {
		field := LogField{Name: p.next().text}
		if p.op("=") {
			path, err := p.take(logString, "a string")
			if err == nil {
				err = checkPath(t.text, path)
			}
			if err != nil {
				return nil, where(t, err)
			}
			field.Path = path
		}
		f.Fields = append(f.Fields, field)
		if !p.op(",") {
			break
		}
		if p.peek().kind != logName {
			return nil, p.unexpected("a label")
		}
	}
	if len(f.Flags)+len(f.Fields) == 0 {
		return LineParser{Kind: f.Kind}, nil
	}
	return f, nil
}

func (p *logParser) labelFormat(t logToken) (LogStage, error) {
	var f LabelFormat
	for {
		name, err := p.take(logName, "a label")
		if err != nil {
			return nil, err
		}
		if name == "__error__" || slices.ContainsFunc(f.Set, func(a LogAssign) bool { return a.Name == name }) {
			return nil, fmt.Errorf("at byte %d: %s cannot be formatted, or is formatted twice", t.at, name)
		}
		if err := p.want("="); err != nil {
			return nil, err
		}
		a := LogAssign{Name: name, Template: p.peek().kind == logString}
		if a.Template {
			a.From = p.next().text
			err = checkTemplate(a.From)
		} else {
			a.From, err = p.take(logName, "a label or a template")
		}
		if err != nil {
			return nil, where(t, err)
		}
		if f.Set = append(f.Set, a); !p.op(",") {
			return f, nil
		}
	}
}

func (p *logParser) pick(kind string) (LogStage, error) {
	f := LabelPick{Kind: kind}
	for {
		name, err := p.take(logName, "a label")
		if err != nil {
			return nil, err
		}
		one := LogPicked{Name: name}
		if _, ok := matchTypes[p.peek().text]; ok && p.peek().kind == logOp && p.ahead().kind == logString {
			if one.Matcher, err = p.matcher(name); err != nil {
				return nil, err
			}
		}
		if f.Of = append(f.Of, one); !p.op(",") {
			return f, nil
		}
	}
}

// conditions reads conditions on labels. A comma, or nothing, between two joins them as and does, and takes all that
// follows on its right: so Loki's grammar has it. above is the precedence on the left: 1 of or, 2 of and.
func (p *logParser) conditions(above int) (LogCondition, error) {
	up, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer up()
	l, err := p.condition()
	if err != nil {
		return nil, err
	}
	for {
		t := p.peek()
		if t.kind == logOp && t.text == "," || t.kind == logName || t.kind == logOp && t.text == "(" {
			p.op(",")
			r, err := p.conditions(0)
			if err != nil {
				return nil, err
			}
			l = LabelLogic{"and", l, r}
			continue
		}
		prec := precedence[t.text]
		if t.kind != logWord || t.text != "and" && t.text != "or" || prec <= above {
			return l, nil
		}
		p.at++
		r, err := p.conditions(prec)
		if err != nil {
			return nil, err
		}
		l = LabelLogic{t.text, l, r}
	}
}

func (p *logParser) condition() (LogCondition, error) {
	if p.op("(") {
		c, err := p.conditions(0)
		if err != nil {
			return nil, err
		}
		return c, p.want(")")
	}
	name, err := p.take(logName, "a parser, a format or a label")
	if err != nil {
		return nil, err
	}
	op, val := p.peek(), p.ahead()
	if op.kind != logOp || !slices.Contains([]string{"=", "!=", "=~", "!~", "==", ">", ">=", "<", "<="}, op.text) {
		return nil, p.unexpected("a comparison")
	}
	f := LabelFilter{Name: name, Op: op.text}
	_, texts := matchTypes[op.text]
	regex := op.text == "=~" || op.text == "!~"
	switch {
	case texts && val.kind == logString:
		m, err := p.matcher(name)
		if err != nil {
			return nil, err
		}
		f.Text = m.Value
		return f, nil
	case texts && !regex && val.kind == logWord && val.text == "ip":
		p.at += 2
		return p.address(f)
	case !regex && (val.kind == logDuration || val.kind == logBytes):
		p.at += 2
		f.Text, f.Quantity = val.text, true
		return f, nil
	case !regex:
		p.at++
		if f.Op == "=" {
			f.Op = "=="
		}
		f.Numeric = f.Op == "!="
		f.Number, err = p.number()
		return f, err
	}
	p.at++
	return nil, p.unexpected("a string")
}

// address reads ("10.0.0.0/8") behind ip.
func (p *logParser) address(f LabelFilter) (LogCondition, error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	t := p.peek()
	text, err := p.take(logString, "an address")
	if err != nil {
		return nil, err
	}
	if err := checkAddress(text); err != nil {
		return nil, where(t, err)
	}
	return LabelAddress{f.Name, f.Op, text}, p.want(")")
}
