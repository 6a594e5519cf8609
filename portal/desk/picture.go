package desk

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"sync"
	"time"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"

	"lifeline/store/blob"
	"lifeline/store/fault"
)

// A stranger's picture is never shown as it came: it is read and drawn anew, so that what was hidden in it, and what it says of where it was
// taken, is gone, and a file that only claims to be a picture is none. Drawing is bounded before it begins: by the memory that the picture
// says it needs, by time, and by one picture being drawn at once.
const (
	// PictureSide is the longer side of a picture that is shown, in pixels, ThumbSide that of a small one beside words.
	PictureSide = 1600
	ThumbSide   = 240

	drawMemory = 160 << 20        // bytes that a picture may need
	drawSide   = 30_000           // pixels
	drawTime   = 10 * time.Second // of reading it: some formats grow a thousandfold
)

// easel is where one picture is drawn at a time.
type easel struct {
	once sync.Once
	turn chan struct{}
}

func (e *easel) take(ctx context.Context) (leave func(), err error) {
	e.once.Do(func() { e.turn = make(chan struct{}, 1) })
	select {
	case e.turn <- struct{}{}:
		return func() { <-e.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Picture draws a picture anew, no larger than side in each direction, upright, as PNG or JPEG. What is none, or too large to be drawn, is Conflict:
// it can still be fetched as a file.
func (d *Desk) Picture(ctx context.Context, a Attachment, side int) (media string, picture []byte, err error) {
	if !a.Picture() {
		return "", nil, noPicture(a)
	}
	leave, err := d.easel.take(ctx)
	if err != nil {
		return "", nil, err
	}
	defer leave()
	content, err := blob.ReadAll(ctx, d.DB, a.rec)
	if err != nil {
		return "", nil, err
	}
	media, picture, ok := redraw(content, a.Type, side)
	if !ok {
		return "", nil, noPicture(a)
	}
	return media, picture, nil
}

func noPicture(a Attachment) error {
	return fault.New(fault.Conflict, "%q cannot be shown as a picture", a.Name)
}

// decoders are of the formats that we draw.
var decoders = map[string]struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}{
	"image/png": {png.DecodeConfig, png.Decode}, "image/jpeg": {jpeg.DecodeConfig, jpeg.Decode},
	"image/gif": {gif.DecodeConfig, gif.Decode}, "image/webp": {webp.DecodeConfig, webp.Decode},
}

// redraw is Picture without a store.
func redraw(content []byte, media string, side int) (as string, picture []byte, ok bool) {
	d, known := decoders[media]
	if !known {
		return "", nil, false
	}
	cfg, err := d.config(bytes.NewReader(content))
	if err != nil || !drawable(cfg) {
		return "", nil, false
	}
	img, err := d.decode(&hasty{bytes.NewReader(content), time.Now().Add(drawTime)})
	if err != nil || !drawable(image.Config{ColorModel: cfg.ColorModel, Width: img.Bounds().Dx(), Height: img.Bounds().Dy()}) {
		return "", nil, false
	}
	turn := 1
	if media == "image/jpeg" {
		turn = orientation(content)
	}
	var out bytes.Buffer
	if media == "image/png" || media == "image/gif" {
		err = png.Encode(&out, upright(shrink(img, side, image.Transparent), turn))
		return "image/png", out.Bytes(), err == nil
	}
	err = jpeg.Encode(&out, upright(shrink(img, side, image.White), turn), &jpeg.Options{Quality: 85})
	return "image/jpeg", out.Bytes(), err == nil
}

// drawable says by what a picture declares whether there is memory for it.
func drawable(c image.Config) bool {
	if c.Width <= 0 || c.Height <= 0 || c.Width > drawSide || c.Height > drawSide {
		return false
	}
	each := 4 // bytes of a pixel
	switch c.ColorModel {
	case color.NRGBA64Model, color.RGBA64Model:
		each = 8
	case color.YCbCrModel, color.NYCbCrAModel:
		each = 3
	case color.GrayModel:
		each = 1
	case color.Gray16Model:
		each = 2
	default:
		if _, ok := c.ColorModel.(color.Palette); ok {
			each = 1
		}
	}
	return c.Width*c.Height*each <= drawMemory
}

// hasty is a reader that breaks off when the time is up.
type hasty struct {
	io.Reader
	until time.Time
}

func (h *hasty) Read(p []byte) (int, error) {
	if time.Now().After(h.until) {
		return 0, context.DeadlineExceeded
	}
	return h.Reader.Read(p)
}

// shrink draws a picture on a ground, at most side wide and high.
func shrink(img image.Image, side int, ground *image.Uniform) *image.RGBA {
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	if longer := max(w, h); longer > side {
		w, h = max(1, w*side/longer), max(1, h*side/longer)
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Bounds(), ground, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(out, out.Bounds(), img, img.Bounds(), draw.Over, nil)
	return out
}

// upright turns a picture as its orientation says (Exif 2.32, tag 0x0112): 1 is as it stands.
func upright(img *image.RGBA, orientation int) image.Image {
	if orientation < 2 || orientation > 8 {
		return img
	}
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	if orientation >= 5 {
		w, h = h, w
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			fx, fy := x, y
			switch orientation {
			case 2:
				fx = w - 1 - x
			case 3:
				fx, fy = w-1-x, h-1-y
			case 4:
				fy = h - 1 - y
			case 5:
				fx, fy = y, x
			case 6:
				fx, fy = y, w-1-x
			case 7:
				fx, fy = h-1-y, w-1-x
			case 8:
				fx, fy = h-1-y, x
			}
			out.SetRGBA(x, y, img.RGBAAt(fx, fy))
		}
	}
	return out
}

// orientation reads how a JPEG wants to be turned; 1 when it does not say.
func orientation(jpg []byte) int {
	for at := 2; at+4 <= len(jpg) && jpg[at] == 0xFF && jpg[at+1] != 0xDA; {
		size := int(binary.BigEndian.Uint16(jpg[at+2:]))
		if size < 2 || at+2+size > len(jpg) {
			return 1
		}
		if segment := jpg[at+4 : at+2+size]; jpg[at+1] == 0xE1 && bytes.HasPrefix(segment, []byte("Exif\x00\x00")) {
			return tiffOrientation(segment[6:])
		}
		at += 2 + size
	}
	return 1
}

// tiffOrientation reads tag 0x0112 of the first directory of a TIFF (TIFF 6.0 section 2).
func tiffOrientation(b []byte) int {
	if len(b) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.BigEndian
	if bytes.HasPrefix(b, []byte("II")) {
		order = binary.LittleEndian
	}
	dir := int(order.Uint32(b[4:]))
	if dir < 8 || dir+2 > len(b) {
		return 1
	}
	for i := range int(order.Uint16(b[dir:])) {
		at := dir + 2 + 12*i
		if at+12 > len(b) {
			return 1
		}
		if order.Uint16(b[at:]) == 0x0112 {
			return int(order.Uint16(b[at+8:]))
		}
	}
	return 1
}
