package detect

// spike is the detector of jumps alone.
type spike struct {
	Clock clock
	Habit habit
	Local local
}

func (s *spike) observe(e *env, x sample, out *Output) {
	gap := s.Clock.tick(x.before, x.t)
	near := s.Local.observe(&s.Clock, s.Clock.limit(e), gap, x.v)
	judge(out, e, &s.Habit, &s.Clock, &near)
}

func (s *spike) whole() bool { return s.Clock.whole() && s.Habit.whole() && s.Local.whole() }
