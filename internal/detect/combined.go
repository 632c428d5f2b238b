package detect

// combined is the default detector: the jump from the last few samples, the
// deviation from day and week, and what is no deviation at all, as one score.
type combined struct {
	Clock   clock
	Habit   habit
	Local   local
	Routine routine
	Season  season
	Watch   watch
}

func (s *combined) observe(e *env, x sample, out *Output) {
	gap := s.Clock.tick(x.before, x.t)
	limit := s.Clock.limit(e)
	near := s.Local.observe(&s.Clock, limit, gap, x.v)
	near.score = s.Routine.expect(e.localMs(x.t), x.v-near.expected, near.score)
	far := s.Season.observe(e, &s.Clock, limit, x.t, x.v)
	other := s.Watch.observe(e, &s.Clock, limit, gap, x)
	judge(out, e, &s.Habit, &s.Clock, &near, &other, &far)
}

func (s *combined) whole() bool {
	return s.Clock.whole() && s.Habit.whole() && s.Local.whole() && s.Routine.whole() && s.Season.whole() && s.Watch.whole()
}

func (s *combined) miss(e *env, last, now int64) evidence {
	return s.Watch.Silence.miss(e, &s.Clock, last, now)
}
