package email

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lifeline/comms"
	"lifeline/store/fault"
)

// openDir makes the directory that stands in for a relay. What it holds names people: only its owner reads it.
func openDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "make the directory for mail")
	}
	return checkDir(dir)
}

func checkDir(dir string) error {
	f, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "write to the directory for mail")
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

// writeFile puts a message into the directory, whole or not at all. The name follows from the delivery, so a retry writes the
// same file again.
func writeFile(dir string, msg comms.Message, data []byte) comms.Outcome {
	name := fileName(msg)
	if err := replace(dir, name, data); err != nil {
		return comms.Outcome{State: comms.Deferred, Reason: clean(fmt.Sprintf("write %s: %s", name, err))}
	}
	return comms.Outcome{State: comms.Written, Ref: name}
}

func fileName(msg comms.Message) string {
	label := msg.Delivery
	if label == "" {
		label = msg.ID
	}
	safe := strings.Map(func(c rune) rune {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '-', c == '.':
			return c
		}
		return '_'
	}, label)
	safe = strings.TrimLeft(safe[:min(len(safe), 150)], ".")
	sum := sha256.Sum256([]byte(msg.Delivery + "\x00" + msg.ID + "\x00" + msg.To))
	return safe + "-" + hex.EncodeToString(sum[:5]) + ".eml"
}

func replace(dir, name string, data []byte) (err error) {
	f, err := os.CreateTemp(dir, ".mail-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		_ = f.Close()
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}
