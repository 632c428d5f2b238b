package incident

import "time"

// An Account tells an incident in a few sentences, in the order in which things happened.
type Account struct {
	At        time.Time  `json:"at"`
	Sentences []Sentence `json:"sentences"`
	// Model is the language model that found the words, as it calls itself, and Prompt what it was
	// asked by, "account@1". Both are empty where no model did.
	Model  string `json:"model,omitempty"`
	Prompt string `json:"prompt,omitempty"`
	// WithoutModel says why no model did although there is one.
	WithoutModel string `json:"withoutModel,omitempty"`
}

// A Sentence is one line of text and what it rests on: the ids of evidence of the same Dossier, "alert:"
// and a fingerprint, or RestsOnCause. It rests on something.
type Sentence struct {
	Text  string   `json:"text"`
	Rests []string `json:"rests"`
}

// What a Sentence may rest on besides evidence.
const (
	RestsOnAlert = "alert:" // and the fingerprint
	RestsOnCause = "cause"
)
