package jiratest

// Project is a project of the site: its create screen, its workflow, and what
// the account may do there.
type Project struct {
	Key string
	// Types are the names of its issue types; their ids are 10001 and on.
	Types []string
	// Screen is the create screen of every type, by field id.
	Screen map[string]Field
	// Statuses and Transitions are the workflow. A new issue gets the first status.
	Statuses    []State
	Transitions []Transition
	// Denied are permissions that the account lacks.
	Denied []string
	// Desk makes it a project of Service Management.
	Desk *Desk
	// Edit is what the edit screen holds; nil means everything.
	Edit []string
	// Archived projects are read-only.
	Archived bool
}

// Field is a field on a screen.
type Field struct {
	Name       string
	Required   bool
	HasDefault bool
	Allowed    []Value
}

// Value is an allowed value of a field.
type Value struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// State is a status. Category is new, indeterminate or done.
type State struct{ ID, Name, Category string }

// Transition leads to the status To from the statuses From, or from any when
// From is empty. Fields is its screen.
type Transition struct {
	ID, Name, To string
	From         []string
	Fields       map[string]Field
	Portal       bool // customers may make it too
}

// Priorities are those of a new site.
func Priorities() []Value {
	return []Value{{"1", "Highest"}, {"2", "High"}, {"3", "Medium"}, {"4", "Low"}, {"5", "Lowest"}}
}

// DefaultProject is a project as Jira makes it, with an English workflow in
// which every status can be reached from every other and none has a screen.
func DefaultProject(key string) Project {
	return Project{
		Key:   key,
		Types: []string{"Task", "Bug", "Incident"},
		Screen: map[string]Field{
			"project":     {Name: "Project", Required: true},
			"issuetype":   {Name: "Issue Type", Required: true},
			"summary":     {Name: "Summary", Required: true},
			"description": {Name: "Description"},
			"labels":      {Name: "Labels"},
			"priority":    {Name: "Priority", Allowed: Priorities(), HasDefault: true},
			"reporter":    {Name: "Reporter", Required: true, HasDefault: true},
		},
		Statuses: []State{{"10000", "To Do", "new"}, {"10001", "In Progress", "indeterminate"}, {"10002", "Done", "done"}, {"10003", "Won't do", "done"}},
		Transitions: []Transition{
			{ID: "11", Name: "To Do", To: "10000"},
			{ID: "21", Name: "In Progress", To: "10001"},
			{ID: "31", Name: "Done", To: "10002"},
			{ID: "41", Name: "Won't do", To: "10003"},
		},
	}
}

// GermanProject is a project with a German workflow in which closing goes
// through a screen that requires a resolution.
func GermanProject(key string) Project {
	p := DefaultProject(key)
	p.Statuses = []State{{"10000", "Zu erledigen", "new"}, {"10001", "In Arbeit", "indeterminate"}, {"10002", "Fertig", "done"}}
	p.Transitions = []Transition{
		{ID: "51", Name: "Wieder öffnen", To: "10000", From: []string{"10002"}},
		{ID: "61", Name: "Anfangen", To: "10001", From: []string{"10000"}},
		{ID: "71", Name: "Erledigen", To: "10002", From: []string{"10000", "10001"}, Fields: map[string]Field{
			"resolution": {Name: "Lösung", Required: true, Allowed: []Value{{"10000", "Fertig"}, {"10002", "Duplikat"}}},
		}},
	}
	return p
}

func (p *Project) status(id string) State {
	for _, s := range p.Statuses {
		if s.ID == id {
			return s
		}
	}
	panic("BUG: project " + p.Key + " has no status " + id)
}
