// Command lifeline is the portal that speaks for a product that is gone: it keeps contacts outside the product, takes tickets
// without login, and tells everyone what is known. `lifeline help` lists the commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"lifeline/store/heap"
)

func main() {
	heap.KeepFloor()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := exitCode(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr), os.Stderr)
	stop()
	os.Exit(code)
}

// usage is an error in how a command was called: exit status 2.
type usage struct{ text string }

func (u usage) Error() string { return u.text }

func exitCode(err error, stderr io.Writer) int {
	var wrong usage
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "lifeline: %v\n", err)
		return 2
	}
	fmt.Fprintf(stderr, "lifeline: %v\n", err)
	return 1
}

// env is what a command works with.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        func(string) (string, bool)
}

// command is one subcommand.
type command struct {
	name, args, short, long string
	flags                   func(*flag.FlagSet)
	bare                    bool              // it takes flags and no arguments
	verbs                   map[string]string // what its first argument may be, each with the flags that go with it
	run                     func(context.Context, env, *flag.FlagSet) error
}

// commands are all of them, in the order in which help lists them: to look at it, to serve, the contacts, the staff, and what keeps it whole.
func commands() []command {
	return []command{
		demoCommand(), replayCommand(),
		serveCommand(), doctorCommand(),
		importCommand(), exportCommand(), reportCommand(), purgeCommand(),
		userCommand(), tokenCommand(), wordsCommand(),
		keyCommand(), backupCommand(), migrateCommand(), versionCommand(),
	}
}

// run is the whole program: arguments in, an error out.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return runIn(ctx, args, env{stdin: stdin, stdout: stdout, stderr: stderr, environ: os.LookupEnv})
}

func runIn(ctx context.Context, args []string, e env) error {
	if len(args) == 0 {
		printHelp(e.stderr)
		return usage{"name a command"}
	}
	name := args[0]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(args[1:], e.stdout)
	case "-version", "--version":
		name = "version"
	}
	c, err := commandNamed(name)
	if err != nil {
		return err
	}
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.String("config", "", "`file` of NAME=value settings")
	if c.flags != nil {
		c.flags(fs)
	}
	if err := parse(fs, args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return help([]string{c.name}, e.stdout)
		}
		return usage{fmt.Sprintf("%s: %s; see `lifeline help %s`", c.name, flagNamed.ReplaceAllString(err.Error(), "$1--$2"), c.name)}
	}
	if c.bare && fs.NArg() > 0 {
		return usage{fmt.Sprintf("%s: it takes no %q; see `lifeline help %s`", c.name, fs.Arg(0), c.name)}
	}
	if err := c.fits(fs); err != nil {
		return err
	}
	return c.run(ctx, e, fs)
}

// flagNamed is a flag as package flag names it; we write two dashes, as help does.
var flagNamed = regexp.MustCompile(`(defined: |argument: |flag |for )-(\w)`)

// fits refuses a flag that the verb does not go by: whoever wrote `backup now --dry-run` would be given a backup.
func (c command) fits(fs *flag.FlagSet) (err error) {
	takes, known := c.verbs[fs.Arg(0)]
	if !known { // the command says which there are
		return nil
	}
	fs.Visit(func(f *flag.Flag) {
		if f.Name != "config" && !slices.Contains(strings.Fields(takes), f.Name) {
			err = usage{fmt.Sprintf("%s: %s takes no --%s; see `lifeline help %s`", c.name, fs.Arg(0), f.Name, c.name)}
		}
	})
	return err
}

func commandNamed(name string) (command, error) {
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return command{}, usage{fmt.Sprintf("there is no command %q; `lifeline help` lists them", name)}
	}
	return all[i], nil
}

// text is a flag's value as it was written.
func text(fs *flag.FlagSet, name string) string { return fs.Lookup(name).Value.String() }

// given is the first of these flags, by name, that the call gives; "" when it gives none.
func given(fs *flag.FlagSet, names ...string) (first string) {
	fs.Visit(func(f *flag.Flag) {
		if first == "" && slices.Contains(names, f.Name) {
			first = f.Name
		}
	})
	return first
}

// parse lets flags stand before, between and behind the arguments, as people type them.
func parse(fs *flag.FlagSet, args []string) error {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			return err
		}
		if fs.NArg() == 0 {
			break
		}
		if n := len(args) - fs.NArg(); n > 0 && args[n-1] == "--" {
			rest = append(rest, fs.Args()...)
			break
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
	return fs.Parse(append([]string{"--"}, rest...))
}

func printHelp(w io.Writer) {
	fmt.Fprint(w, "Lifeline tells customers the truth while the product is gone.\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.short)
	}
	fmt.Fprint(w, `
"lifeline help COMMAND" says more. First steps: "lifeline demo" on a machine with nothing else.
Settings come from the environment (LIFELINE_...) or from the file given by --config; "lifeline serve --print-config" shows them.
Exit status: 0 done, 1 failed, 2 called wrongly.
`)
}

func help(args []string, w io.Writer) error {
	if len(args) == 0 {
		printHelp(w)
		return nil
	}
	c, err := commandNamed(args[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "lifeline %s\n\n%s\n", strings.TrimSpace(c.name+" "+c.args), strings.TrimSpace(c.long))
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.String("config", "", "`file` of NAME=value settings; the environment goes first")
	if c.flags != nil {
		c.flags(fs)
	}
	fmt.Fprint(w, "\nFlags:\n")
	fs.VisitAll(func(f *flag.Flag) {
		arg, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  --%-22s %s\n", strings.TrimSpace(f.Name+" "+arg), text)
	})
	return nil
}

func versionCommand() command {
	return command{name: "version", args: "[--components]", short: "say which build this is", bare: true,
		long: `Prints the version, the commit and the Go release it was built with. With --components also each module that is in it, with version and checksum
(go.sum's), one a line: hold that list against what is known to be vulnerable.`,
		flags: func(fs *flag.FlagSet) { fs.Bool("components", false, "list the modules that are in it") },
		run: func(_ context.Context, e env, fs *flag.FlagSet) error {
			if _, err := fmt.Fprintln(e.stdout, version()); err != nil || text(fs, "components") != "true" {
				return err
			}
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return errors.New("this build does not say what is in it")
			}
			for _, m := range info.Deps {
				fmt.Fprintln(e.stdout, m.Path, m.Version, m.Sum)
			}
			return nil
		}}
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "lifeline (unknown build)"
	}
	revision := "no revision"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return fmt.Sprintf("lifeline %s (%s, %s)", info.Main.Version, revision, info.GoVersion)
}
