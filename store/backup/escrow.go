package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"filippo.io/age"

	"lifeline/store"
	"lifeline/store/fault"
)

// Escrow copies the key directory for its custodians: one file each, age-encrypted to that custodian's public key, so that each can open it
// alone. It says where the files are. Give each file to its custodian, keep none beside the server, and let each prove it (store.DB.ProveEscrow).
// Readiness wants two proofs that are current (store.Custodians).
func Escrow(keyDir, out string, custodians map[string]age.Recipient) (paths []string, err error) {
	var all []age.Recipient
	var names []string
	for name, r := range custodians {
		if name == "" || name != filepath.Base(name) {
			return nil, fault.BadField("custodian", "%.80q is not a name", name)
		}
		all, names = append(all, r), append(names, name)
	}
	if err := checkRecipients(all); err != nil {
		return nil, err
	}
	slices.Sort(names)
	files, err := keyFiles(keyDir)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	bundle, err := json.Marshal(files)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o700); err != nil {
		return nil, fmt.Errorf("write the escrow: %w", err)
	}
	for _, name := range names {
		path := filepath.Join(out, "escrow-"+name+".age")
		err := store.WriteKeyFile(path, func(f *os.File) error {
			w, err := age.Encrypt(f, custodians[name])
			if err != nil {
				return err
			}
			if _, err := w.Write(bundle); err != nil {
				return err
			}
			return w.Close()
		})
		if err != nil {
			return paths, fmt.Errorf("write the escrow of %s: %w", name, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func keyFiles(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, errors.New("the directory holds none")
	}
	return files, nil
}

// OpenEscrow reads a custodian's file: key files by name.
func OpenEscrow(r io.Reader, ids ...age.Identity) (map[string][]byte, error) {
	plain, err := age.Decrypt(r, ids...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fault.Wrap(fault.Invalid, err, "this private key is not the one that the custodian's file was encrypted to")
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "open the escrow")
	}
	var files map[string][]byte
	if err := json.NewDecoder(io.LimitReader(plain, 16<<20)).Decode(&files); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "read the escrow")
	}
	return files, nil
}

// RestoreKeys makes a key directory from what OpenEscrow read. It refuses one that has files.
func RestoreKeys(files map[string][]byte, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("restore the keys: %w", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return errors.Join(fault.New(fault.Exists, "%s is not empty: keys are never overwritten", dir), err)
	}
	for name, content := range files {
		if name != filepath.Base(name) || name == "." {
			return fault.New(fault.Invalid, "the escrow holds a file with the name %.80q", name)
		}
		err := store.WriteKeyFile(filepath.Join(dir, name), func(f *os.File) error { _, err := f.Write(content); return err })
		if err != nil {
			return fmt.Errorf("restore the keys: %w", err)
		}
	}
	return nil
}
