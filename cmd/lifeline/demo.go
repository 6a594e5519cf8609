package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lifeline/portal/auth"
	"lifeline/store/fault"
)

func demoCommand() command {
	return command{
		name: "demo", args: "[--exit]", short: "replay April 2022 on a fast clock and serve the pages",
		long: `Replays the incident of April 2022 as it was known at the time: contacts are imported, the incident is declared, every update is
approved by a second person and sent to every contact. It needs no account anywhere: each mail is written as .eml and each SMS as a line of JSON
under ./demo/outbox, and pages are served at http://127.0.0.1:8080. At the end a table shows what customers got, and when, beside what they
got in 2022. The server then stays up until it is stopped.

Contacts, site moves between the recorded points, and what customers are told to do are synthetic; times, facts and figures are the record's.
Everything lies in ./demo, which each run makes anew.`,
		flags: func(fs *flag.FlagSet) {
			fs.Bool("exit", false, "leave when the replay is over")
			fs.String("dir", "demo", "`directory` of the demo's data")
		},
		bare: true,
		run: func(ctx context.Context, e env, fs *flag.FlagSet) error {
			return runDemo(ctx, e, text(fs, "dir"), text(fs, "exit") == "true")
		},
	}
}

func replayCommand() command {
	return command{
		name: "replay", args: "[--hindsight]", short: "replay April 2022 and print what customers would have got",
		long: `Runs the same replay as the demo without serving anything, in a directory that is removed afterwards, and prints the table.
--hindsight loads the final 883 sites from the beginning, so that every percentage has the final denominator; nobody knew them then.`,
		flags: func(fs *flag.FlagSet) {
			fs.Bool("hindsight", false, "with the final counts from the first day, which nobody knew")
			fs.Bool("json", false, "print the table as JSON")
		},
		bare: true,
		run: func(ctx context.Context, e env, fs *flag.FlagSet) error {
			dir, err := os.MkdirTemp("", "lifeline-replay-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			h, clock, err := demoHouse(ctx, e, dir, func(c *config) {
				c.values["LIFELINE_LISTEN"], c.values["LIFELINE_OPS_LISTEN"] = "127.0.0.1:0", "127.0.0.1:0"
			})
			if err != nil {
				return err
			}
			defer h.close()
			work, stop := context.WithCancel(ctx)
			done := make(chan error, 1)
			fault.Go(h.log, "outbox", func() { done <- h.outbox.Run(work) })
			r := &replay{house: h, clock: clock, out: e.stderr, hindsight: text(fs, "hindsight") == "true"}
			err = r.run(ctx)
			stop()
			<-done
			if err != nil {
				return err
			}
			if text(fs, "json") == "true" {
				return r.printJSON(e.stdout)
			}
			return r.print(e.stdout)
		},
	}
}

// demoMark is the file that says a directory is a demo's and may be removed.
const demoMark = ".lifeline-demo"

func runDemo(ctx context.Context, e env, dir string, exit bool) error {
	dir = absolute(dir)
	if err := clearDemo(dir); err != nil {
		return err
	}
	h, clock, err := demoHouse(ctx, e, dir, nil)
	if err != nil {
		return err
	}
	defer h.close()
	h.demo = true
	h.comms.Policy.Confirm.Off = true // it replays what was said, and nothing else

	serving, stop := context.WithCancel(ctx)
	defer stop()
	served, up := make(chan error, 1), make(chan struct{})
	fault.Go(h.log, "serve", func() { served <- h.serve(serving, func() { close(up) }) })
	select {
	case <-up:
	case err := <-served:
		return fmt.Errorf("%w (is another server running? LIFELINE_LISTEN and LIFELINE_OPS_LISTEN choose other addresses)", err)
	}
	fmt.Fprintf(e.stdout, "Status page: %s   Messages: %s\n\n", h.cfg.url, filepath.Join(dir, "outbox"))

	r := &replay{house: h, clock: clock, out: e.stderr}
	if err := r.run(ctx); err != nil {
		stop()
		return errors.Join(err, <-served)
	}
	if err := r.print(e.stdout); err != nil {
		return err
	}
	if !exit {
		link, err := h.gate.Link(ctx, "system:demo", auth.Grantee{Role: auth.Commander, Name: "demo commander"}, h.cfg.url)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "\nThe server stays up for looking around; Ctrl-C stops it.\n  status page   %s\n  support form  %s/support\n  staff pages   %s  (works once, 15 min)\n"+
			"  another link  LIFELINE_DATA=%s LIFELINE_KEYS=%s lifeline token issue --role commander --name YOU --link\n",
			h.cfg.url, h.cfg.url, link, h.cfg.get("LIFELINE_DATA"), h.cfg.get("LIFELINE_KEYS"))
		select {
		case <-ctx.Done():
		case err := <-served:
			return err
		}
	}
	stop()
	return <-served
}

func clearDemo(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		if _, err := os.Stat(filepath.Join(dir, demoMark)); err != nil {
			return fmt.Errorf("%s exists and is no demo's: move it away, or name another with --dir", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "outbox"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, demoMark), []byte("made by lifeline demo; removed by the next one\n"), 0o600)
}

// demoHouse wires everything to files in dir and to a clock that the replay sets. Nothing it is configured with can reach anybody.
func demoHouse(ctx context.Context, e env, dir string, change func(*config)) (*house, *replayClock, error) {
	cfg, err := readConfig("", func(name string) (string, bool) {
		if name == "LIFELINE_LISTEN" || name == "LIFELINE_OPS_LISTEN" {
			return e.environ(name)
		}
		return "", false // a demo must not find real relays in the environment
	})
	if err != nil {
		return nil, nil, err
	}
	outbox := filepath.Join(dir, "outbox")
	for name, value := range map[string]string{
		"LIFELINE_DATA": filepath.Join(dir, "data"), "LIFELINE_KEYS": filepath.Join(dir, "keys"), "LIFELINE_PAGE_DIR": filepath.Join(dir, "page"),
		"LIFELINE_SMTP": "file:" + outbox, "LIFELINE_TWILIO": "file:" + outbox, "LIFELINE_MAIL_FROM": "status@example.com", "LIFELINE_VENDOR": "Example Cloud",
	} {
		cfg.values[name] = value
	}
	cfg.policy.Comms.Workers, cfg.policy.Comms.Subscribe.Hooks = 2, 0
	if change != nil {
		change(&cfg)
	}
	clock := newReplayClock(time.Date(2022, 4, 5, 7, 38, 0, 0, time.UTC))
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	h, err := build(ctx, cfg, log, clock.Now)
	return h, clock, err
}
