package detect

// combined is the default detector: the jump from the last few samples and the
// deviation from day and week, as one score.
type combined struct {
	Clock  clock
	Habit  habit
	Local  local
	Season season
}

func (s *combined) observe(e *env, x sample, out *Output) {
	gap := s.Clock.tick(x.before, x.t)
	limit := s.Clock.limit(e)
	near := s.Local.observe(&s.Clock, limit, gap, x.v)
	far := s.Season.observe(e, &s.Clock, limit, x.t, x.v)
	judge(out, e, &s.Habit, &s.Clock, &near, &far)
}

func (s *combined) whole() bool {
	return s.Clock.whole() && s.Habit.whole() && s.Local.whole() && s.Season.whole()
}

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

// seasonal is the detector of deviations from day and week alone.
type seasonal struct {
	Clock  clock
	Habit  habit
	Season season
}

func (s *seasonal) observe(e *env, x sample, out *Output) {
	s.Clock.tick(x.before, x.t)
	far := s.Season.observe(e, &s.Clock, s.Clock.limit(e), x.t, x.v)
	judge(out, e, &s.Habit, &s.Clock, &far)
}

func (s *seasonal) whole() bool { return s.Clock.whole() && s.Habit.whole() && s.Season.whole() }
