package store

import "encoding/json"

// What a thief of the keys could do, for the tests of the audit chain.

// AuditKind is the kind of audit rows.
var AuditKind = auditRows.Kind

// Link is the hash of a row.
var Link = link

// ForgeRow makes the record of an audit row as this store would keep it.
func ForgeRow(db *DB, m Meta, row Row) (Raw, error) {
	raw := Raw{Meta: m}
	plain, err := json.Marshal(row)
	if err != nil {
		return raw, err
	}
	if raw.Body, err = db.keys.seal(auditRows.Kind, m.ID, plain); err != nil {
		return raw, err
	}
	raw.Tuples, err = auditRows.tuples(db, row)
	return raw, err
}

// SetHead moves the store's own idea of where the chain ends.
func SetHead(tx *Tx, h Head) error {
	_, m, err := heads.Get(tx, headID)
	if err != nil {
		return err
	}
	return heads.Put(tx, headID, h, m.Version)
}

// HeadLease asks for the lease that lets one sealer work.
func HeadLease(holder string) Lease {
	return Lease{Kind: heads.Name, Holder: holder, Limit: 1}
}
