package ask

import (
	"fmt"
	"strconv"
)

func (p *logParser) rangeAgg() (LogExpr, error) {
	name := p.next()
	r := &LogRange{Func: name.text}
	if err := p.want("("); err != nil {
		return nil, err
	}
	if r.Func == "quantile_over_time" {
		text, err := p.take(logNumeral, "a quantile from 0 to 1")
		if err != nil {
			return nil, err
		}
		if r.Param, err = strconv.ParseFloat(text, 64); err != nil {
			return nil, err
		}
		if err := p.want(","); err != nil {
			return nil, err
		}
	}
	if err := p.logRange(r); err != nil {
		return nil, err
	}
	if err := p.want(")"); err != nil {
		return nil, err
	}
	if err := p.group(&r.Grouped, &r.Without, &r.By); err != nil {
		return nil, err
	}
	switch needs := rangeFuncs[r.Func]; {
	case needs != (r.Unwrap != nil) && (needs || !unwrapFuncs[r.Func]):
		return nil, fmt.Errorf("at byte %d: %s and unwrap do not fit", name.at, r.Func)
	case r.Grouped && !groupedFuncs[r.Func]:
		return nil, fmt.Errorf("at byte %d: %s cannot be grouped", name.at, r.Func)
	}
	return r, nil
}

// logRange reads a selector, a pipeline and an unwrap with their window, which may stand behind the selector or behind
// all of it, and may have parentheses around it or before it.
func (p *logParser) logRange(r *LogRange) error {
	up, err := p.deeper()
	if err != nil {
		return err
	}
	defer up()
	paren := p.op("(")
	if paren && p.is(logOp, "(") {
		if err := p.logRange(r); err != nil {
			return err
		}
		return p.want(")")
	}
	s, err := p.selector()
	if err != nil {
		return err
	}
	r.Streams = s
	if p.peek().kind == logWindow { // the pipeline comes behind the window
		if err := p.window(r); err != nil {
			return err
		}
		if err := p.pipeline(r); err != nil {
			return err
		}
		if paren {
			return p.want(")")
		}
		return nil
	}
	if err := p.pipeline(r); err != nil {
		return err
	}
	outside := paren && p.op(")")
	if err := p.window(r); err != nil {
		return err
	}
	switch {
	case outside && len(s.Stages) == 0 && r.Unwrap == nil: // ({…})[5m] | unwrap x
		return p.unwrap(r)
	case paren && !outside:
		return p.want(")")
	}
	return nil
}

func (p *logParser) pipeline(r *LogRange) error {
	if err := p.stages(r.Streams); err != nil {
		return err
	}
	return p.unwrap(r)
}

// window reads [5m] and an offset.
func (p *logParser) window(r *LogRange) error {
	t := p.peek()
	if t.kind != logWindow || t.dur <= 0 {
		return p.unexpected("a window such as [5m]")
	}
	p.at++
	r.Window = t.dur
	if !p.word("offset") {
		return nil
	}
	d := p.peek()
	if d.kind != logDuration {
		return p.unexpected("a duration")
	}
	p.at++
	r.Offset = d.dur
	return nil
}

// unwrap reads | unwrap x and the conditions behind it, if it is next.
func (p *logParser) unwrap(r *LogRange) error {
	if !p.is(logOp, "|") || p.ahead().kind != logWord || p.ahead().text != "unwrap" {
		return nil
	}
	p.at += 2
	u := &Unwrap{}
	var err error
	if t := p.peek(); t.kind == logWord && (t.text == "bytes" || t.text == "duration" || t.text == "duration_seconds") {
		u.Convert = p.next().text
		if err := p.want("("); err != nil {
			return err
		}
		if u.Label, err = p.take(logName, "a label"); err != nil {
			return err
		}
		if err := p.want(")"); err != nil {
			return err
		}
	} else if u.Label, err = p.take(logName, "a label"); err != nil {
		return err
	}
	r.Unwrap = u
	for p.op("|") {
		c, err := p.conditions(0)
		if err != nil {
			return err
		}
		r.After = append(r.After, c)
	}
	return nil
}
