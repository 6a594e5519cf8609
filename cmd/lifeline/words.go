package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"lifeline/templates"
)

func wordsCommand() command {
	return command{
		name: "words", args: "[DIR]", short: "write the built-in words of all messages, to begin your own with",
		long: `With DIR, which must not be there yet, it writes the built-in words: a catalog of sentences for each language, the layouts of updates, and a file for each other
message. Keep what you change, delete the rest, and let LIFELINE_TEMPLATES name the directory.
Without DIR it reads the directory that LIFELINE_TEMPLATES names as a start would, makes every message in every language of it with sample data, and
lists the files that are used in place of ours. What is broken is refused with file and line. docs/words.md says what a file is given.`,
		run: runWords,
	}
}

func runWords(_ context.Context, e env, fs *flag.FlagSet) error {
	switch fs.NArg() {
	case 0:
		cfg, err := readConfig(text(fs, "config"), e.environ)
		if err != nil {
			return err
		}
		set, err := templates.Load(cfg.get("LIFELINE_TEMPLATES"))
		if err != nil {
			return err
		}
		for _, name := range set.Own() {
			fmt.Fprintln(e.stdout, name)
		}
		fmt.Fprintf(e.stdout, "%d files of your own; every message can be made\n", len(set.Own()))
		return nil
	case 1:
		dir := absolute(fs.Arg(0))
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return fmt.Errorf("make the directory: %w", err)
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return fmt.Errorf("make the directory: %w", err)
		}
		if err := os.CopyFS(dir, templates.Ours()); err != nil {
			return fmt.Errorf("write the words: %w", err)
		}
		fmt.Fprintf(e.stdout, "wrote the built-in words to %s; keep what you change, delete the rest, and set LIFELINE_TEMPLATES=%s\n", dir, dir)
		return nil
	}
	return usage{"words: names at most one directory"}
}
