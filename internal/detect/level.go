package detect

// levels is the detector of deviations from day and week alone.
type levels struct {
	Clock  clock
	Habit  habit
	Season season
}

func (s *levels) observe(e *env, x sample, out *Output) {
	s.Clock.tick(x.before, x.t)
	far := s.Season.observe(e, &s.Clock, s.Clock.limit(e), x.t, x.v)
	judge(out, e, &s.Habit, &s.Clock, &far)
}

func (s *levels) whole() bool { return s.Clock.whole() && s.Habit.whole() && s.Season.whole() }
