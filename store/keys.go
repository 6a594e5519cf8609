package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	"lifeline/store/fault"
)

// Keys opens and seals bodies (XChaCha20-Poly1305) and makes blind indexes (HMAC-SHA256, a key per field, 16 bytes behind one
// byte of version). They lie outside the data directory. Each of the two sets holds every key that ever sealed something; the newest
// seals. See Rotate.
type Keys struct {
	dir    string
	ring   atomic.Pointer[ring]
	mu     sync.Mutex // one change of the files at a time
	looked time.Time  // when the files were last read again
}

const (
	sealFile  = "seal.json"
	blindFile = "blind.json"
)

// OpenKeys reads the keysets in dir. Without create a missing one is an error; with create (first start on an empty store) they
// are made. The directory must be 0700 and each file 0600, else they are refused.
func OpenKeys(dir string, create bool) (*Keys, error) {
	if create {
		if err := MakeDir(dir); err != nil {
			return nil, fmt.Errorf("make the key directory: %w", err)
		}
	}
	if err := private(dir, 0o700); err != nil {
		return nil, err
	}
	seal, err := readKeyset(filepath.Join(dir, sealFile), create, func() (*keyset.Handle, error) {
		return keyset.NewHandle(aead.XChaCha20Poly1305KeyTemplate())
	})
	if err != nil {
		return nil, err
	}
	blind, err := readKeyset(filepath.Join(dir, blindFile), create, func() (*keyset.Handle, error) {
		return keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	})
	if err != nil {
		return nil, err
	}
	if create { // a start before this one may have been killed before it did
		if err := syncDir(dir); err != nil {
			return nil, fmt.Errorf("keep the keys in %s: %w", dir, err)
		}
	}
	r, err := newRing(seal, blind)
	if err != nil {
		return nil, fmt.Errorf("read the keys in %s: %w", dir, err)
	}
	k := &Keys{dir: dir}
	k.ring.Store(r)
	return k, nil
}

// HaveKeys says whether dir holds a keyset.
func HaveKeys(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, sealFile))
	return err == nil
}

// private refuses a key file or directory that others than its owner could read.
func private(path string, want fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	if info.Mode().Perm()&^want != 0 {
		return fmt.Errorf("%s has mode %#o: others could read the keys; make it %#o", path, info.Mode().Perm(), want)
	}
	return nil
}

func readKeyset(path string, create bool, fresh func() (*keyset.Handle, error)) (*keyset.Handle, error) {
	_, err := os.Stat(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		h, err := fresh()
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", path, err)
		}
		// Written whole or not at all: a half keyset would lose everything sealed with it.
		if err := WriteKeyFile(path, func(f *os.File) error {
			return insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(f))
		}); err != nil {
			return nil, fmt.Errorf("make %s: %w", path, err)
		}
	}
	if err := private(path, 0o600); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	defer f.Close()
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(f))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return h, nil
}

// WriteKeyFile writes a private file whole: to a temporary name, synced, then renamed, and the directory synced.
func WriteKeyFile(path string, write func(*os.File) error) error {
	tmp, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err = write(tmp); err == nil {
		err = tmp.Sync()
	}
	if err2 := tmp.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory survive a power cut.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// MakeDir makes a directory for its owner alone, and those above it that are missing, and makes their names survive a power cut. One that
// exists is left as it is; whoever made it may have been killed before its name lasted, so that is seen to as well.
func MakeDir(path string) error {
	above := filepath.Dir(path)
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: path, Err: fs.ErrExist}
	case err == nil:
		_ = syncDir(above) // somebody else's directory, such as /var/lib, need not let us
		return nil
	case !errors.Is(err, fs.ErrNotExist) || above == path:
		return err
	}
	if err := MakeDir(above); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncDir(above); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

func aad(k Kind, id string) []byte {
	return []byte(k.Name + "\x00" + id + "\x00" + strconv.Itoa(k.Schema))
}

func (k *Keys) seal(kind Kind, id string, plain []byte) ([]byte, error) {
	return k.ring.Load().aead.Encrypt(plain, aad(kind, id))
}

func (k *Keys) open(kind Kind, id string, sealed []byte) ([]byte, error) {
	plain, _, err := k.openAny(kind, id, sealed)
	return plain, err
}

// openAny unseals what was sealed under the kind's schema or an older one, and says under which.
func (k *Keys) openAny(kind Kind, id string, sealed []byte) (plain []byte, schema int, err error) {
	if plain, schema, err = k.ring.Load().openAny(kind, id, sealed); err != nil && k.learn(sealed) {
		return k.ring.Load().openAny(kind, id, sealed)
	}
	return plain, schema, err
}

// learnEvery is how often at the most the files are read again for a key that they may not hold.
const learnEvery = time.Second

// learn says whether the key that sealed a body is held after all: another process that shares the directory may have rotated the keys, and seals
// with new ones only once both files hold them.
func (k *Keys) learn(sealed []byte) bool {
	id, ok := sealedWith(sealed)
	if !ok || k.dir == "" || slices.Contains(k.ring.Load().seals, id) { // held before: then the body was altered
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.Contains(k.ring.Load().seals, id) { // somebody else was as far
		return true
	}
	if time.Since(k.looked) < learnEvery {
		return false
	}
	k.looked = time.Now()
	fresh, err := OpenKeys(k.dir, false)
	if err != nil {
		return false
	}
	k.ring.Store(fresh.ring.Load())
	return slices.Contains(k.ring.Load().seals, id)
}

func (r *ring) openAny(kind Kind, id string, sealed []byte) (plain []byte, schema int, err error) {
	for schema = kind.Schema; ; schema-- {
		of := kind
		of.Schema = schema
		var failed error
		if plain, failed = r.aead.Decrypt(sealed, aad(of, id)); failed == nil {
			return plain, schema, nil
		}
		if err == nil {
			err = fmt.Errorf("unseal: the keys do not open it or it was altered: %w", failed)
		}
		if schema <= 1 {
			return nil, 0, err
		}
	}
}

func (db *DB) checkKeys(ctx context.Context, restoring bool) error {
	var state rotation
	err := db.Update(ctx, Act{}, func(tx *Tx) error {
		v, _, err := instances.Get(tx, instanceID)
		fresh := fault.Of(err) == fault.NotFound
		if fresh {
			err = instances.Put(tx, instanceID, instance{Instance: rand.Text()}, 0)
		} else if err != nil {
			return fmt.Errorf("these keys do not belong to this store: %w", err)
		} else if v.Unfinished && !restoring {
			return fault.New(fault.Conflict, "a restore into this store did not finish: restore again into a new one")
		}
		if err != nil {
			return err
		}
		if state, err = beginRotation(tx, fresh); err != nil {
			return err
		}
		return beginChain(tx)
	})
	db.oldestBlind.Store(int32(state.oldest()))
	return err
}
