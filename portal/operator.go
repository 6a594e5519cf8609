package portal

import (
	"context"
	"io"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"lifeline/portal/auth"
	"lifeline/store/fault"
)

// Operator is what the operator of this machine may ask at the control socket and nobody anywhere else; cmd hands it in, so that this
// room knows neither backups nor keys.
type Operator struct {
	BackUp  func(context.Context) (any, error)
	Thaw    func(ctx context.Context, reason string) (any, error) // of old backups that are kept because the store shrank
	Health  func(context.Context) (any, error)
	Keys    func(context.Context) (any, error)
	Rotate  func(ctx context.Context, reason string) (any, error)
	Prove   func(ctx context.Context, custodian string, files map[string][]byte) error
	Release func(ctx context.Context, reason string) error // of what a restore holds back
	// Slice puts records that were picked from a backup back, while everybody works.
	Slice func(ctx context.Context, r io.Reader, o SliceRequest) (any, error)
	// Trouble is told what a command found wrong, with detail "" that it is not any more.
	Trouble func(ctx context.Context, what, detail string) error
}

// SliceRequest says what a slice is of.
type SliceRequest struct {
	Backup int64 // its number
	Reason string
	Dry    bool
}

type troubleBody struct {
	What   string `json:"what"`
	Detail string `json:"detail"`
}

type proofBody struct {
	Custodian string            `json:"custodian"`
	Files     map[string][]byte `json:"files"`
}

// operatorRoutes are served at the control socket alone: over HTTP their addresses do not exist.
func (p *Portal) operatorRoutes() []route {
	o := p.Operator
	read := func(ask func(context.Context) (any, error)) func(*call) error {
		return func(k *call) error {
			answer, err := ask(k.UserContext())
			if err != nil {
				return err
			}
			return send(k.Ctx, fiber.StatusOK, answer)
		}
	}
	because := func(act func(ctx context.Context, reason string) (any, error)) func(*call) error {
		return func(k *call) error {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			return read(func(ctx context.Context) (any, error) { return act(ctx, in.Reason) })(k)
		}
	}
	return []route{
		{method: "GET", path: "/api/v1/health", right: auth.StaffManage, do: read(o.Health)},
		{method: "POST", path: "/api/v1/backups", right: auth.StaffManage, do: read(o.BackUp)},
		{method: "POST", path: "/api/v1/backups/thaw", right: auth.StaffManage, do: because(o.Thaw)},
		{method: "GET", path: "/api/v1/keys", right: auth.StaffManage, do: read(o.Keys)},
		{method: "POST", path: "/api/v1/keys/rotate", right: auth.StaffManage, do: because(o.Rotate)},
		{method: "POST", path: "/api/v1/keys/proofs", right: auth.StaffManage, do: func(k *call) error {
			var in proofBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			if err := o.Prove(k.UserContext(), in.Custodian, in.Files); err != nil {
				return err
			}
			return k.SendStatus(fiber.StatusNoContent)
		}},
		{method: "POST", path: "/api/v1/slices", right: auth.StaffManage, media: fiber.MIMEOctetStream, do: func(k *call) error {
			dry, err := boolParam(k.Ctx, "dry_run")
			if err != nil {
				return err
			}
			number, err := strconv.ParseInt(k.Query("backup"), 10, 64)
			if err != nil {
				return fault.BadField("backup", "must be the number of a backup")
			}
			in := SliceRequest{Backup: number, Reason: k.Query("reason"), Dry: dry}
			return read(func(ctx context.Context) (any, error) { return o.Slice(ctx, stream(k.Ctx, maxImport), in) })(k)
		}},
		{method: "POST", path: "/api/v1/troubles", right: auth.StaffManage, do: func(k *call) error {
			var in troubleBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			if err := o.Trouble(k.UserContext(), in.What, in.Detail); err != nil {
				return err
			}
			return k.SendStatus(fiber.StatusNoContent)
		}},
		{method: "POST", path: "/api/v1/hold/release", right: auth.StaffManage, do: func(k *call) error {
			var in reasonBody
			if err := decode(k.Ctx, &in); err != nil {
				return err
			}
			if err := o.Release(k.UserContext(), in.Reason); err != nil {
				return err
			}
			return k.SendStatus(fiber.StatusNoContent)
		}},
	}
}
