package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// from reads a configuration as the program does, from these settings only.
func from(values map[string]string) (config, error) {
	return readConfig("", func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	})
}

func TestWrongSettingsAreNamed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		values map[string]string
		says   string
	}{
		"listen":            {map[string]string{"LIFELINE_LISTEN": "nonsense"}, "LIFELINE_LISTEN"},
		"operations abroad": {map[string]string{"LIFELINE_OPS_LISTEN": "0.0.0.0:9090"}, "LIFELINE_OPS_LISTEN"},
		"url with a path":   {map[string]string{"LIFELINE_URL": "https://example.com/status"}, "LIFELINE_URL"},
		"url without":       {map[string]string{"LIFELINE_URL": "example.com"}, "LIFELINE_URL"},
		"proxies":           {map[string]string{"LIFELINE_TRUSTED_PROXIES": "10.0.0.0/99"}, "LIFELINE_TRUSTED_PROXIES"},
		"keys in the data":  {map[string]string{"LIFELINE_DATA": dir, "LIFELINE_KEYS": filepath.Join(dir, "keys")}, "LIFELINE_KEYS"},
		"store":             {map[string]string{"LIFELINE_STORE": "mysql://x"}, "LIFELINE_STORE"},
		"no sender":         {map[string]string{"LIFELINE_SMTP": "smtp://relay.example:25"}, "LIFELINE_MAIL_FROM"},
		"missing file":      {map[string]string{"LIFELINE_SMTP_FILE": filepath.Join(dir, "none")}, "LIFELINE_SMTP_FILE"},
		"zero byte":         {map[string]string{"LIFELINE_VENDOR": "a\x00b"}, "LIFELINE_VENDOR"},
		"unknown in policy": {map[string]string{"LIFELINE_POLICY": write("a.yaml", "comms:\n  leese: 5s\n")}, "leese"},
		"comms policy":      {map[string]string{"LIFELINE_POLICY": write("b.yaml", "comms:\n  workers: 0\n")}, "comms.workers"},
		"single sign-on":    {map[string]string{"LIFELINE_OIDC": "https://login.example.com"}, "LIFELINE_OIDC"},
		"sign-in policy":    {map[string]string{"LIFELINE_POLICY": write("s.yaml", "sign_in:\n  roles: [{group: bosses, role: approver}]\n")}, "sign_in.roles[0].role"},
		"desk policy":       {map[string]string{"LIFELINE_POLICY": write("c.yaml", "desk:\n  ack_daily: 0\n")}, "desk.ack_daily"},
		"backup policy":     {map[string]string{"LIFELINE_POLICY": write("e.yaml", "backup:\n  keep_days: 0\n")}, "backup.keep_days"},
		"page bucket":       {map[string]string{"LIFELINE_PAGE_BUCKET": "https://s3.example.net/pages"}, "LIFELINE_PAGE_BUCKET"},
		"page in no bucket": {map[string]string{"LIFELINE_PAGE_BUCKET": "s3://KEY:SECRET@s3.example.net/"}, "LIFELINE_PAGE_BUCKET"},
		"colours":           {map[string]string{"LIFELINE_COLOURS": "#ffff00 #8fbcff", "LIFELINE_LINKS": "Home"}, "LIFELINE_COLOURS: #ffff00"},
		"links":             {map[string]string{"LIFELINE_COLOURS": "#ffff00 #8fbcff", "LIFELINE_LINKS": "Home"}, "LIFELINE_LINKS: \"Home\""},
		"logo":              {map[string]string{"LIFELINE_LOGO": filepath.Join(dir, "none")}, "LIFELINE_LOGO: open"},
		"name in two lines": {map[string]string{"LIFELINE_VENDOR": "Example\nCloud"}, "LIFELINE_VENDOR: must be"},
		"sender":            {map[string]string{"LIFELINE_MAIL_FROM": "status"}, "LIFELINE_MAIL_FROM"},
		"half a signature":  {map[string]string{"LIFELINE_DKIM_DOMAIN": "example.com"}, "LIFELINE_DKIM_SELECTOR"},
		"signing key":       {map[string]string{"LIFELINE_DKIM_DOMAIN": "example.com", "LIFELINE_DKIM_SELECTOR": "s1", "LIFELINE_DKIM_KEY": "junk"}, "LIFELINE_DKIM_KEY"},
		"backup place":      {map[string]string{"LIFELINE_BACKUPS": "/mnt/backups s3://s3.example.net"}, "LIFELINE_BACKUPS"},
		"contacts policy":   {map[string]string{"LIFELINE_POLICY": write("d.yaml", "contacts:\n  phone_country: Atlantis\n")}, "phone_country"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := from(c.values); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not name %s", err, c.says)
			}
		})
	}
}

// The environment goes before NAME_FILE, that before the file of --config, that before the default; secrets are masked when they are printed.
func TestWhereASettingComesFrom(t *testing.T) {
	dir := t.TempDir()
	secret, file := filepath.Join(dir, "secret"), filepath.Join(dir, "lifeline.env")
	for path, text := range map[string]string{
		secret: "smtp://user:hunter2@relay.example:587\n",
		file:   "# settings\nLIFELINE_VENDOR=From File\nLIFELINE_MAIL_FROM=\"a@example.com\"\nLIFELINE_LISTEN=127.0.0.1:1\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := map[string]string{"LIFELINE_SMTP_FILE": secret, "LIFELINE_LISTEN": "127.0.0.1:2"}
	c, err := readConfig(file, func(name string) (string, bool) { v, ok := environ[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"LIFELINE_VENDOR": "From File", "LIFELINE_LISTEN": "127.0.0.1:2", "LIFELINE_MAIL_FROM": "a@example.com",
		"LIFELINE_SMTP": "smtp://user:hunter2@relay.example:587", "LIFELINE_OPS_LISTEN": "127.0.0.1:9090",
	} {
		if got := c.get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	var out bytes.Buffer
	if err := c.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"LIFELINE_URL=http://127.0.0.1:2\n", "LIFELINE_SMTP=smtp://user:xxxxx@relay.example:587\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--print-config does not print %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("--print-config prints a password")
	}
}

// Publishing links that only this machine can open to people elsewhere is refused.
func TestNothingIsPublishedWithDeadLinks(t *testing.T) {
	for name, c := range map[string]struct {
		values map[string]string
		barred bool
	}{
		"nothing set":             {map[string]string{}, false},
		"files":                   {map[string]string{"LIFELINE_SMTP": "file:outbox"}, false},
		"a relay of this machine": {map[string]string{"LIFELINE_SMTP": "smtp://127.0.0.1:25?tls=none", "LIFELINE_MAIL_FROM": "a@b.example"}, false},
		"a real relay":            {map[string]string{"LIFELINE_SMTP": "smtp://relay.example:587", "LIFELINE_MAIL_FROM": "a@b.example"}, true},
		"the second is real":      {map[string]string{"LIFELINE_SMTP": "smtp://localhost:25 smtp://relay.example:587", "LIFELINE_MAIL_FROM": "a@b.example"}, true},
		"a real SMS provider":     {map[string]string{"LIFELINE_TWILIO": "https://SID:TOKEN@api.twilio.com?from=%2B12025550100"}, true},
		"a real address":          {map[string]string{"LIFELINE_URL": "https://status.example.com", "LIFELINE_SMTP": "smtp://relay.example:587", "LIFELINE_MAIL_FROM": "a@b.example"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := from(c.values)
			if err != nil {
				t.Fatal(err)
			}
			if got := cfg.barred(); (got != "") != c.barred {
				t.Errorf("barred: %q", got)
			}
		})
	}
}
