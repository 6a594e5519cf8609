package store

import (
	"time"

	"lifeline/store/fault"
)

// Row is one line of the audit log: who did what to which records, when and why. It holds ids, never names or
// addresses, so that erasing a person leaves the log whole.
type Row struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Verb   string    `json:"verb"`
	On     []string  `json:"on,omitempty"`
	More   int       `json:"more,omitempty"` // how many ids beyond those named
	Reason string    `json:"reason,omitempty"`
}

var auditRows = Table[Row]{Kind: Kind{Name: "audit", Prefix: "aud", Schema: 1}}

// maxOn bounds the ids in one row; a bulk act's own records name the rest.
const maxOn = 50

func (tx *Tx) writeAudit() error {
	if tx.act.Verb == "" {
		return nil
	}
	row := Row{At: tx.now, By: tx.act.By, Verb: tx.act.Verb, On: tx.on, Reason: tx.act.Reason}
	if len(row.On) > maxOn {
		row.On, row.More = row.On[:maxOn], len(row.On)-maxOn
	}
	if row.By == "" {
		return fault.New(fault.Internal, "act %s without a person", row.Verb)
	}
	return auditRows.Put(tx, auditRows.NewID(), row, 0)
}

// AuditRows is the audit log in the order in which its rows were written. It is append-only: no act changes a row.
func AuditRows(tx *Tx, q Query) ([]Rec[Row], string, error) { return auditRows.List(tx, q) }
