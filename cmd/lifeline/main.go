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
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
)

func main() {
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
	run                     func(context.Context, env, *flag.FlagSet) error
}

func commands() []command {
	return []command{serveCommand(), demoCommand(), importCommand(), exportCommand(), purgeCommand(), replayCommand(), tokenCommand(), userCommand(), backupCommand(), keyCommand(), migrateCommand(), doctorCommand(), reportCommand(), versionCommand()}
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
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		return help(args[1:], e.stdout)
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return usage{fmt.Sprintf("there is no command %q; `lifeline help` lists them", args[0])}
	}
	c := all[i]
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
		return usage{fmt.Sprintf("%s: %v; see `lifeline help %s`", c.name, err, c.name)}
	}
	return c.run(ctx, e, fs)
}

// text is a flag's value as it was written.
func text(fs *flag.FlagSet, name string) string { return fs.Lookup(name).Value.String() }

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
	fmt.Fprint(w, "\n`lifeline help COMMAND` says more. First steps: `lifeline demo` on a machine with nothing else.\n")
}

func help(args []string, w io.Writer) error {
	if len(args) == 0 {
		printHelp(w)
		return nil
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return usage{fmt.Sprintf("there is no command %q; `lifeline help` lists them", args[0])}
	}
	c := all[i]
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
	return command{name: "version", short: "say which build this is", long: "Prints the version, the commit and the Go release it was built with.",
		run: func(_ context.Context, e env, _ *flag.FlagSet) error {
			_, err := fmt.Fprintln(e.stdout, version())
			return err
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
