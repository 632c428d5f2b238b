package jira_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// newDCRig serves a Data Center and returns a tracker for it. change may be nil.
func newDCRig(t *testing.T, noMeta bool, change func(*jira.Config), projects ...jiratest.Project) *rig {
	t.Helper()
	c := newClock()
	site, url := jiratest.Start(t, jiratest.Options{DataCenter: true, NoMeta: noMeta, Now: c.Now, SearchLag: lag, Projects: projects})
	cfg := patient()
	cfg.Deployment, cfg.URL, cfg.Token, cfg.Project = jira.DataCenter, url, jiratest.Token, "OPS"
	if change != nil {
		change(&cfg)
	}
	return newRigWith(t, cfg, site, c)
}

// plain undoes wiki markup, as a reader sees it.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	s = regexp.MustCompile(`(?m)^(h[1-6]\. |[*#] |\{noformat\}$)`).ReplaceAllString(s, "")
	s = regexp.MustCompile(`\[([^|\]]*[^\\])\|[^\]]*\]`).ReplaceAllString(s, "$1")
	s = strings.NewReplacer("{{", "", "}}", "").Replace(s)
	s = regexp.MustCompile(`\\([^A-Za-z0-9\s])`).ReplaceAllString(s, "$1")
	return strings.NewReplacer("&#92;", `\`, "&#46;", ".", "&amp;", "&").Replace(s)
}

func TestDataCenter(t *testing.T) {
	t.Parallel()
	for language, project := range map[string]jiratest.Project{"en": jiratest.DefaultProject("OPS"), "de": jiratest.GermanProject("OPS")} {
		for _, noMeta := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, told %t", language, !noMeta), func(t *testing.T) {
				t.Parallel()
				tickettest.Run(t, func(t *testing.T) tickettest.System {
					r := newDCRig(t, noMeta, func(c *jira.Config) {
						if noMeta && language == "de" { // nobody tells which there are
							c.Resolution, c.DuplicateResolution = "Fertig", "Duplikat"
						}
					}, project)
					s := system(r)
					look := s.Look
					s.Look = func(ref ticket.Ref) tickettest.View {
						v := look(ref)
						i := r.site.Issue(name(ref))
						v.Text, v.Comments = plain(i.Description), nil
						for _, c := range i.Comments {
							v.Comments = append(v.Comments, plain(c))
						}
						return v
					}
					return s
				})
			})
		}
	}
}

func TestDataCenterClosesASecondTicketAndFindsOverPages(t *testing.T) {
	t.Parallel()
	r := newDCRig(t, false, nil)
	first := create(t, r, "portent-1")
	r.settle()
	for range 60 {
		r.site.Clone(first.Key) // by people, with our label
	}
	r.settle()
	found, err := r.Find(t.Context(), "portent-1")
	require.NoError(t, err)
	require.Equal(t, first.Key, found.Key)
	require.Equal(t, 2, r.site.Sent(jiratest.OpSearch), "two pages")
	require.NoError(t, r.Update(t.Context(), first.Ref, ticket.Update{Key: "portent-1-1", Comment: tickettest.Note("still there")}))

	r = newDCRig(t, false, nil)
	first = create(t, r, "portent-2")
	second := create(t, r, "portent-2")
	r.settle()
	found, err = r.Find(t.Context(), "portent-2")
	require.NoError(t, err)
	require.Equal(t, first.Key, found.Key)
	dup := r.site.Issue(second.Key)
	require.Equal(t, "done", dup.Category)
	require.Equal(t, []string{"Duplicate " + first.Key}, dup.Links)
	require.Contains(t, plain(dup.Comments[0]), "Duplicate of "+first.Key)
	got, err := r.Get(t.Context(), second.Ref)
	require.NoError(t, err)
	require.Equal(t, first.Key, got.Key)
}

func TestDataCenterChecksItsConfiguration(t *testing.T) {
	t.Parallel()
	r := newDCRig(t, false, nil)
	warnings, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, warnings)
	r = newDCRig(t, true, nil)
	warnings, err = r.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "does not tell its create screen")
	var wrong *ticketrest.CheckError
	_, err = newDCRig(t, false, func(c *jira.Config) { c.Token = "another" }).Check(t.Context())
	require.ErrorAs(t, err, &wrong)
	_, err = newDCRig(t, false, func(c *jira.Config) { c.IssueType, c.Priorities["critical"] = "Epos", "Burning" }).Check(t.Context())
	require.ErrorAs(t, err, &wrong)
	require.Contains(t, err.Error(), "Epos")
	r = newDCRig(t, false, func(c *jira.Config) { c.Username, c.Token = jiratest.Email, jiratest.Token })
	_, err = r.Check(t.Context())
	require.NoError(t, err, "basic auth")

	for change, want := range map[string]func(*jira.Config){
		"email: is of cloud":           func(c *jira.Config) { c.Email = "a@b.c" },
		"username: \"a b\"":            func(c *jira.Config) { c.Username = "a b" },
		"deployment: \"server\": want": func(c *jira.Config) { c.Deployment = "server" },
		"username: is of datacenter":   func(c *jira.Config) { c.Deployment, c.Username = jira.Cloud, "x" },
	} {
		c := jira.DefaultConfig()
		c.Deployment, c.URL, c.Token, c.Project = jira.DataCenter, "https://jira.example.com/jira", "x", "OPS"
		want(&c)
		require.ErrorContains(t, c.Validate(), change)
	}
}

// Every way of failing leaves one ticket.
func TestDataCenterFaultsLeaveOneTicket(t *testing.T) {
	t.Parallel()
	for _, kind := range doubletest.Kinds() {
		if kind == doubletest.Hang || kind == doubletest.Slow {
			continue // as in Cloud: the same client
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newDCRig(t, false, nil)
			r.site.Fail(doubletest.Fault{Op: jiratest.OpCreate, Kind: kind, Status: 502})
			made, err := r.Create(t.Context(), tickettest.Draft("portent-1"))
			var e *ticket.Error
			require.ErrorAs(t, err, &e)
			if e.Ambiguous {
				r.settle()
				made, err = r.Find(t.Context(), "portent-1")
			}
			if !e.Ambiguous || err != nil {
				made, err = r.Create(t.Context(), tickettest.Draft("portent-1"))
			}
			require.NoError(t, err)
			require.Len(t, r.site.Issues(), 1)
			require.Equal(t, made.Key, r.site.Issues()[0].Key)
		})
	}
}

func TestWikiMarkup(t *testing.T) {
	t.Parallel()
	f := func(want string, blocks ...ticket.Block) {
		t.Helper()
		require.Equal(t, want, jira.Wiki(blocks))
	}
	f(`h2. \*bold\* \[\~admin\] \{html\}`, ticket.Heading(2, ticket.Text("*bold* [~admin] {html}")))
	f("h1&#46; no heading\nbq&#46; no quote\n\\* no list\n\\- nor this\n\\# nor that", ticket.Paragraph(ticket.Text("h1. no heading\nbq. no quote\n* no list\n- nor this\n# nor that")))
	f(`*a* {{b\_c}} _d_ [x\|y|https://a.example/%7C%5D]`, ticket.Paragraph(ticket.Bold("a"), ticket.Text(" "), ticket.Mono("b_c"), ticket.Text(" "), ticket.Italic("d"), ticket.Text(" "), ticket.Link("x|y", "https://a.example/|]")))
	f(`click`, ticket.Paragraph(ticket.Link("click", "javascript:alert(1)")))
	f("{noformat}\n{ noformat}{html}\n{noformat}", ticket.Block{Kind: ticket.KindCode, Code: "{noformat}{html}"})
	f("|| a || b ||\n| 1 |  |", ticket.Block{Kind: ticket.KindTable, Rows: [][][]ticket.Span{{{ticket.Text("a")}, {ticket.Text("b")}}, {{ticket.Text("1")}}}})
	f(`C:&#92;temp &amp; \!x\!`, ticket.Paragraph(ticket.Text(`C:\temp & !x!`)))

	long := make(ticket.Doc, 400)
	for i := range long {
		long[i] = ticket.Paragraph(ticket.Text(strings.Repeat("[ü] ", 100)))
	}
	s := jira.Wiki(long, ticket.Paragraph(ticket.Mono("portent-update:portent-1_2.3-4")))
	require.LessOrEqual(t, len([]rune(s)), 32000)
	require.Contains(t, s, "Shortened: the rest is in Portent.")
	require.Equal(t, "portent-update:portent-1_2.3-4", jira.LastWikiLine(s))
	require.NotEqual(t, "portent-update:x", jira.LastWikiLine("{{portent\\-update:x}}\n\nand more"))
}
