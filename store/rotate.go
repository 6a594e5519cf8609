package store

import (
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Names is the id of every key held, for the manifest of a backup: as long as the backup is kept, each of them must be.
func (k *Keys) Names() []string { return slices.Clone(k.names) }

func names(set string, h *keyset.Handle) (all []string) {
	for _, key := range h.KeysetInfo().GetKeyInfo() {
		all = append(all, fmt.Sprintf("%s:%d", set, key.GetKeyId()))
	}
	return all
}

// Open unseals a body as a backup holds it.
func (k *Keys) Open(kind Kind, id string, sealed []byte) ([]byte, error) { return k.open(kind, id, sealed) }
