package app

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/triage"
)

// What audit records about the rules as a whole are about.
const (
	policySubject = "policy"
	triageSubject = "triage"
)

// notePolicy writes the rules into the audit chain that are others than the last: decisions name their version, and here
// is what it said. One set is about tickets, the other about alerts and incidents.
func (a *App) notePolicy(p *policy.Policy, t triage.Policy) {
	version, err := t.Version()
	if err == nil {
		err = errors.Join(a.note(policySubject, p.Version(), p.Config()), a.note(triageSubject, version, t))
	}
	if err != nil {
		a.log.Error("policy_not_recorded", "policy", p.Version(), "triage", version, "err", err)
	}
}

func (a *App) note(subject, version string, config any) error {
	ctx, cancel := context.WithTimeout(context.Background(), gateTimeout)
	defer cancel()
	last, err := a.db.LatestAudit(ctx, subject, 0, 1)
	if err != nil {
		return err
	}
	if len(last) == 1 {
		var d struct{ Version string }
		if json.Unmarshal(last[0].Detail, &d) == nil && d.Version == version {
			return nil
		}
	}
	detail, err := json.Marshal(map[string]any{"version": version, "config": config})
	if err != nil {
		return err
	}
	return a.db.Apply(ctx, incident.Change{Records: []audit.Entry{{At: time.Now(), Actor: "portent", Action: subject + ".loaded", Subject: subject, Detail: detail}}})
}

// headEvery is how often the log tells where the audit chain ends. Whoever keeps the log elsewhere keeps the end of the chain
// elsewhere: `portent audit verify --anchors` finds with it what was cut off or written anew.
const headEvery = time.Hour

// tellHead logs the end of the audit chain until ctx ends, and once more then.
func (a *App) tellHead(ctx context.Context) error {
	told := audit.Head{}
	for {
		//nolint:contextcheck // the last time is when ctx has ended
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), gateTimeout)
		head, err := a.db.AuditHead(short)
		cancel()
		switch {
		case err != nil:
			a.log.Error("audit_head_unknown", "err", err)
		case head != told:
			a.log.Info("audit_head", "head", head.String())
			told = head
		}
		select {
		case <-ctx.Done():
			if head, err := a.db.AuditHead(context.WithoutCancel(ctx)); err == nil && head != told {
				a.log.Info("audit_head", "head", head.String())
			}
			return nil
		case <-time.After(headEvery):
		}
	}
}
