package main

import (
	"context"
	"flag"
	"fmt"
	"time"
)

func tokenCommand() command {
	return command{
		name: "token", args: "issue --role ROLE --name NAME", short: "issue a token, or a sign-in link for a browser",
		long: `Prints a JWT (RFC 7519) for the API, or with --link an address that signs a browser in once, within 15 minutes.

Roles: admin, commander, comms, approver, support, engineer, security, automation, auditor. A token holds for 12 h at the most, one of role
automation for 720 h. The name says who it is for: two tokens of one name are one person, who cannot approve what she wrote.`,
		flags: func(fs *flag.FlagSet) {
			fs.String("role", "", "`role` of the holder (required)")
			fs.String("name", "", "`name` of the holder (required)")
			fs.Duration("ttl", 0, "how `long` it holds, such as 8h; without it as long as its role may")
			fs.Bool("link", false, "print a sign-in link instead of a JWT")
		},
		run: func(ctx context.Context, e env, fs *flag.FlagSet) error {
			role, name := text(fs, "role"), text(fs, "name")
			if fs.NArg() != 1 || fs.Arg(0) != "issue" || role == "" || name == "" {
				return usage{"token: write `lifeline token issue --role ROLE --name NAME`; `lifeline help token` names the roles"}
			}
			ttl, err := time.ParseDuration(text(fs, "ttl"))
			if err != nil || given(fs, "ttl") != "" && ttl < time.Second {
				return usage{"token: --ttl is a time such as 8h, of a second or more"}
			}
			c, err := reach(ctx, e, fs)
			if err != nil {
				return err
			}
			defer c.close()
			in := map[string]any{"role": role, "name": name, "ttl_seconds": int(ttl.Seconds()), "link": text(fs, "link") == "true"}
			var out struct{ Token, Link string }
			if err := c.post(ctx, "/api/v1/tokens", in, &out); err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.stdout, out.Token+out.Link)
			return err
		},
	}
}
