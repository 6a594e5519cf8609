package store

import (
	"time"

	"lifeline/store/fault"
)

// Row is one line of the audit log: who did what to which records, when and why. It holds ids, never names or
// addresses, so that erasing a person leaves the log whole. The chain's hashes cover its JSON: new fields go behind Reason
// and are left out when empty, else every row before them would look altered.
type Row struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Verb   string    `json:"verb"`
	On     []string  `json:"on,omitempty"`
	More   int       `json:"more,omitempty"` // how many ids beyond those named
	Reason string    `json:"reason,omitempty"`

	// What the sealer adds within seconds; not part of what is hashed.
	Place int64  `json:"place,omitempty"` // in the chain, from 1
	Hash  string `json:"hash,omitempty"`  // see link
}

// auditRows has one index for both halves of the log: the rows that wait for the sealer by their time, and the chain by place. Ids cannot
// tell them apart, because transactions commit in another order than they make their ids.
var auditRows = Table[Row]{
	Kind: Kind{Name: "audit", Prefix: "aud", Schema: 1, Indexes: []Index{{Name: "chain", Fields: []Field{{"sealed", Bool}, {"place", Int}}}}},
	Tuples: func(r Row) Tuples {
		if r.Place == 0 {
			return Tuples{"chain": {false, r.At.UnixMicro()}}
		}
		return Tuples{"chain": {true, r.Place}}
	},
}

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
	// Without Put's look whether the id is taken: the look costs a round trip and lets concurrent acts collide.
	return auditRows.write(tx, Raw{Meta: Meta{ID: auditRows.NewID(), Created: tx.now}}, row)
}

// AuditRows is the audit log in the order in which its rows were written. It is append-only: no act changes a
// row, and the sealer only adds its place and hash.
func AuditRows(tx *Tx, q Query) ([]Rec[Row], string, error) { return auditRows.List(tx, q) }
