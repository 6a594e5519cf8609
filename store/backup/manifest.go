package backup

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lifeline/store"
	"lifeline/store/fault"
)

// Manifest is what is known of a backup without opening it. Each is signed and holds the digest of the one before it.
type Manifest struct {
	Number     int64          `json:"number"`   // from 1, without gaps
	Taken      time.Time      `json:"taken"`    // wall time of the snapshot
	Instance   string         `json:"instance"` // the store's
	Change     string         `json:"change"`   // the store's, so that a backup of nothing new can be skipped
	Daily      bool           `json:"daily"`    // the first of its day (UTC): kept longest
	Counts     map[string]int `json:"counts"`   // records by kind, deleted ones too
	Size       int64          `json:"size"`     // bytes of the file
	Hash       string         `json:"hash"`     // SHA-256 of the file
	Keys       []string       `json:"keys"`     // ids of the keys that the records, one or another, need
	Recipients []string       `json:"recipients"`
	Head       store.Head     `json:"head"`              // where the audit chain ended
	Frozen     string         `json:"frozen,omitempty"`  // why nothing old is removed
	Thawed     string         `json:"thawed,omitempty"`  // who looked at a frozen store and found it right
	Content    string         `json:"content,omitempty"` // SHA-256 of what the records hold, leases left out, which a restored store must have again
	Page       int64          `json:"page"`              // the newest page of the journal whose facts are all in it; 0: none
	Took       time.Duration  `json:"took"`              // how long the snapshot was read, in ns
	Previous   string         `json:"previous"`          // SHA-256 of the manifest before; "" for the first
}

// Name is what a person calls the backup.
func (m Manifest) Name() string { return fmt.Sprintf("backup-%08d", m.Number) }

func (m Manifest) file() string     { return m.Name() + ".age" }
func (m Manifest) manifest() string { return m.Name() + ".json" }

// signed is a manifest, or a page of the journal, as it is kept: the very bytes that were signed, and the signature (Ed25519).
type signed struct {
	Manifest  json.RawMessage `json:"manifest"`
	Signature []byte          `json:"signature"`
}

func sign(v any, key ed25519.PrivateKey) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(signed{Manifest: body, Signature: ed25519.Sign(key, body)})
}

var errSignature = errors.New("its signature is not that of our key")

func readManifest(file []byte, trusted ed25519.PublicKey) (m Manifest, digest string, err error) {
	if digest, err = readSigned(file, trusted, &m); err != nil && !errors.Is(err, errSignature) {
		err = fmt.Errorf("read a manifest: %w", err)
	}
	return m, digest, err
}

// readSigned reads what was signed, also when the signature is not ours, and the digest of the whole file in any case.
func readSigned(file []byte, trusted ed25519.PublicKey, into any) (digest string, err error) {
	sum := sha256.Sum256(file)
	digest = hex.EncodeToString(sum[:])
	var s signed
	if err := json.Unmarshal(file, &s); err != nil {
		return digest, err
	}
	if err := json.Unmarshal(s.Manifest, into); err != nil {
		return digest, err
	}
	if len(trusted) != ed25519.PublicKeySize || !ed25519.Verify(trusted, s.Manifest, s.Signature) {
		return digest, errSignature
	}
	return digest, nil
}

// KeyFile is the name of the key that signs manifests, in the key directory.
const KeyFile = "manifest.key"

// ReadSigner reads the key that signs manifests from the key directory; fault.NotFound when no backup was ever taken with these keys.
func ReadSigner(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, KeyFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "%s holds no %s, the key that signs backups: the first backup makes it, a lost one comes back from escrow", dir, KeyFile)
	}
	return OpenSigner(dir)
}

// OpenSigner reads the key that signs manifests from the key directory, or makes it. It must be private (0600).
func OpenSigner(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, KeyFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSigner(path); err != nil {
			return nil, fmt.Errorf("make the key that signs backups: %w", err)
		}
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key that signs backups: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %#o: others could sign in our name; make it 0600", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the key that signs backups: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	signer, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is no Ed25519 key", path)
	}
	return signer, nil
}

func makeSigner(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return store.WriteKeyFile(path, func(f *os.File) error {
		return pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	})
}

// keeping says which backups' files are to stand at a time, by number: the newest always, daily points for keep, all others for thin.
func keeping(all []Manifest, now time.Time, keep, thin time.Duration) map[int64]bool {
	stay := map[int64]bool{}
	var newest int64
	for _, m := range all {
		newest = max(newest, m.Number)
		age := now.Sub(m.Taken)
		stay[m.Number] = age <= thin || m.Daily && age <= keep
	}
	if newest > 0 {
		stay[newest] = true
	}
	return stay
}

// shrunk names the kinds that lost more than share of their records, of those that had enough for a share to mean something.
func shrunk(before, now map[string]int, share float64, may func(kind string) bool) (kinds []string) {
	const enough = 50
	for kind, had := range before {
		if had >= enough && float64(now[kind]) < float64(had)*(1-share) && !may(kind) {
			kinds = append(kinds, fmt.Sprintf("%s from %d to %d", kind, had, now[kind]))
		}
	}
	return kinds
}
