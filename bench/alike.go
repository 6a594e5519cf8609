package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"lifeline/comms"
	"lifeline/contacts"
	"lifeline/portal/desk"
	"lifeline/store"
)

// alikePeople is how many people the book knows whose addresses are typed.
const alikePeople = 400

// alike asks, through HTTP, with addresses that the book knows and with others, turn by turn, and compares the medians: a stranger must not learn from the time
// whom we know. Unknown ones are asked in two rows, whose difference is the noise. Beside it stands what the measure would have seen: the same
// request, with one small transaction before its answer, such as a note that somebody known has written.
func (b bench) alike(ctx context.Context, engine string, e store.Engine) (err error) {
	d, client, stop, err := b.serve(ctx, engine, e)
	if err != nil {
		return err
	}
	defer func() {
		if failed := stop(); err == nil {
			err = failed
		}
	}()
	var book bytes.Buffer
	fmt.Fprintln(&book, "account,account_id,name,role,email")
	for i := range alikePeople {
		fmt.Fprintf(&book, "Customer %d,A-%d,Owner %d,owner,owner@known-%d.example\n", i, i, i, i)
	}
	if _, err := d.Book.Import(ctx, "system:bench", &book, contacts.ImportOptions{Source: "product", Format: contacts.FormatCSV}); err != nil {
		return err
	}
	known := func(i int) string { return fmt.Sprintf("owner@known-%d.example", i) }
	other := func(row string) func(int) string {
		return func(i int) string { return fmt.Sprintf("owner@%s-%d.example", row, i) }
	}
	file := func(address func(int) string) func(int) error {
		return func(i int) error {
			return typed(client, i, "/api/v1/tickets", "application/json", fmt.Sprintf(`{"message":"Our site is gone.","impact":"lost_access","email":%q}`, address(i)), fasthttp.StatusCreated)
		}
	}
	note := func() error {
		return d.DB.Update(ctx, store.Act{}, func(tx *store.Tx) error { return jobs.Put(tx, jobs.NewID(), job{"somebody known"}, 0) })
	}
	if err := b.turns(engine, "file a ticket", file(known), file(other("first")), file(other("other")), func(i int) error {
		if err := note(); err != nil {
			return err
		}
		return file(other("seen"))(i)
	}); err != nil {
		return err
	}

	page := func(path string, form func(to string) url.Values, want int) func(func(int) string) func(int) error {
		return func(to func(int) string) func(int) error {
			return func(i int) error {
				return typed(client, i, path, "application/x-www-form-urlencoded", form(to(i)).Encode(), want)
			}
		}
	}
	four := func(what string, ask func(to func(int) string) func(int) error, known func(int) string) error {
		return b.turns(engine, what, ask(known), ask(other("first-"+what)), ask(other("other-"+what)), func(i int) error {
			if err := note(); err != nil {
				return err
			}
			return ask(other("seen-" + what))(i)
		})
	}
	to := func(to string) url.Values { return url.Values{"to": {to}} }
	if err := four("code", page("/me", to, fasthttp.StatusOK), known); err != nil {
		return err
	}

	// A lost secret is asked for with the number and the address of a ticket: hers, or another.
	numbers := make([]string, 4*alikePeople)
	for i := range numbers {
		filed, err := d.File(ctx, "public:bench", desk.Intake{Message: "Our site is gone.", Impact: desk.LostAccess, Route: "api", Email: fmt.Sprintf("she@lost-%d.example", i)})
		if err != nil {
			return err
		}
		numbers[i] = filed.Number
	}
	lost := func(row int, to func(i int) string) func(int) error {
		return func(i int) error {
			return typed(client, i, "/t/"+numbers[row*alikePeople+i]+"/lost", "application/x-www-form-urlencoded", url.Values{"to": {to(row*alikePeople + i)}}.Encode(), fasthttp.StatusOK)
		}
	}
	hers := func(i int) string { return fmt.Sprintf("she@lost-%d.example", i) }
	if err := b.turns(engine, "lost secret", lost(0, hers), lost(1, other("nobody")), lost(2, other("no-one")), func(i int) error {
		if err := note(); err != nil {
			return err
		}
		return lost(3, other("seen"))(i)
	}); err != nil {
		return err
	}

	// An address that is asked to be told may be told already.
	var subject string
	d.Comms.SignSubscription = func(of string) string { subject = of; return of }
	for i := range alikePeople {
		if err := d.Comms.AskSubscription(ctx, comms.Subscribe{Channel: comms.ChannelEmail, Address: known(i)}); err != nil {
			return err
		}
		if _, err := d.Comms.AnswerSubscriptions(ctx); err != nil {
			return err
		}
		if err := d.Comms.KeepSubscription(ctx, subject, comms.Wanted{}); err != nil {
			return err
		}
	}
	return four("subscribe", page("/subscribe", func(to string) url.Values { return url.Values{"address": {to}} }, fasthttp.StatusOK), known)
}

// turns asks each row's question turn by turn and compares medians.
func (b bench) turns(engine, what string, known, unknown, again, leaky func(i int) error) error {
	rows := []func(int) error{known, unknown, again, leaky}
	took, r := make([][]time.Duration, len(rows)), rand.New(rand.NewPCG(5, 5))
	for i := range alikePeople {
		for _, row := range r.Perm(len(rows)) { // what came before it must not tell them apart
			began := time.Now()
			if err := rows[row](i); err != nil {
				return err
			}
			took[row] = append(took[row], time.Since(began))
		}
	}
	var at [4]float64
	for row := range took {
		slices.Sort(took[row])
		at[row] = ms(took[row][len(took[row])/2])
	}
	fmt.Fprintf(b.out, "alike      %-9s %-22s p50 known %.3f ms, unknown %.3f ms (%+.3f); noise, unknown again %+.3f; with one more note %+.3f\n", engine, what, at[0], at[1], at[0]-at[1], at[2]-at[1], at[3]-at[1])
	return nil
}

// typed posts what somebody typed behind an address of her own, and wants this answer.
func typed(client *fasthttp.HostClient, i int, path, media, body string, want int) error {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI("http://" + client.Addr + path)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType(media)
	req.Header.Set(fasthttp.HeaderXForwardedFor, fmt.Sprintf("2001:db8:%x:%x::1", strings.Count(path, ""), i))
	req.SetBodyString(body)
	if err := client.Do(req, res); err != nil {
		return err
	}
	if res.StatusCode() != want {
		return fmt.Errorf("%s was answered %d: %.300s", path, res.StatusCode(), res.Body())
	}
	return nil
}
