package auth

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"lifeline/store"
)

// KeyFile is the name of the token-signing key in the key directory.
const KeyFile = "token.ed25519"

// SigningKey signs access tokens. Its ID is the thumbprint of the public key (RFC 7638, RFC 8037).
type SigningKey struct {
	ID      string
	private ed25519.PrivateKey
	links   *sync.Pool // of *linkMAC
}

// Public is the key that checks what this one signed.
func (k SigningKey) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// OpenKey reads the signing key in dir, PEM (PKCS #8). With create (first start on an empty store) a missing one is made; without, it
// is an error, because a new key would silently end every token. The directory must be 0700 and the file 0600, or they are refused.
func OpenKey(dir string, create bool) (SigningKey, error) {
	path := filepath.Join(dir, KeyFile)
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return SigningKey{}, fmt.Errorf("make the key directory: %w", err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return SigningKey{}, fmt.Errorf("read the token-signing key: %w", err)
	}
	if err := private(dir, info, 0o700); err != nil {
		return SigningKey{}, err
	}
	f, err := os.Open(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return SigningKey{}, fmt.Errorf("make the token-signing key: %w", err)
		}
		f, err = os.Open(path)
	}
	if err != nil {
		return SigningKey{}, fmt.Errorf("read the token-signing key: %w", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return SigningKey{}, fmt.Errorf("read the token-signing key: %w", err)
	}
	if err := private(path, info, 0o600); err != nil {
		return SigningKey{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return SigningKey{}, fmt.Errorf("read the token-signing key: %w", err)
	}
	key, err := parseKey(text)
	if err != nil {
		return SigningKey{}, fmt.Errorf("%s: %w", path, err)
	}
	return newSigningKey(key), nil
}

func newSigningKey(key ed25519.PrivateKey) SigningKey {
	x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	derive := hmac.New(sha256.New, key.Seed())
	derive.Write([]byte("lifeline link v1"))
	under := derive.Sum(nil)
	links := &sync.Pool{New: func() any { return &linkMAC{Hash: hmac.New(sha256.New, under)} }}
	return SigningKey{ID: base64.RawURLEncoding.EncodeToString(sum[:]), private: key, links: links}
}

func private(path string, info fs.FileInfo, want fs.FileMode) error {
	if info.Mode().Perm()&^want != 0 {
		return fmt.Errorf("%s has mode %#o: others could read the keys; make it %#o", path, info.Mode().Perm(), want)
	}
	return nil
}

func makeKey(path string) error {
	_, key, err := ed25519.GenerateKey(nil)
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

func parseKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("is not a PEM file with a PRIVATE KEY")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("holds a %T, not an Ed25519 key", parsed)
	}
	return key, nil
}
