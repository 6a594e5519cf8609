package page

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// This file makes long lists for programs out of parts that are kept. A list of hundreds of incidents is megabytes, of which one word is new: nothing of the rest is written or
// compressed again.

// part is what one incident gives to a list.
type part struct {
	body   []byte
	packed []byte // as deflate has it (RFC 1951): whole blocks that end with a byte and refer to nothing before them, so that it may stand anywhere
}

// pack makes a part. The same body always gives the same bytes.
func (c *coder) pack(body []byte) (part, error) {
	var b bytes.Buffer
	c.flat.Reset(&b)
	if _, err := c.flat.Write(body); err != nil {
		return part{}, err
	}
	if err := c.flat.Flush(); err != nil { // ends the block with the empty stored one, which brings it to the end of a byte
		return part{}, err
	}
	return part{body, b.Bytes()}, nil
}

// between is a part of a few bytes, which nothing makes shorter: a stored block (RFC 1951, 3.2.4).
func between(text string) part {
	n := uint16(len(text))
	head := binary.LittleEndian.AppendUint16([]byte{0}, n)
	return part{[]byte(text), append(binary.LittleEndian.AppendUint16(head, ^n), text...)}
}

// gzipHead says deflate, no name, no time, an unknown system (RFC 1952); lastBlock is an empty block that is the last.
var (
	gzipHead  = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}
	lastBlock = []byte{3, 0}
)

// joined is a list as gzip has it.
func joined(body []byte, parts []part) []byte {
	n := len(gzipHead) + len(lastBlock) + 8
	for _, p := range parts {
		n += len(p.packed)
	}
	out := append(make([]byte, 0, n), gzipHead...)
	for _, p := range parts {
		out = append(out, p.packed...)
	}
	out = append(out, lastBlock...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(body))
	return binary.LittleEndian.AppendUint32(out, uint32(len(body)))
}

// pack makes a part; several may at a time.
func (r *printing) pack(body []byte) (part, error) {
	c := r.press.coders.Get().(*coder)
	defer r.press.coders.Put(c)
	return c.pack(body)
}

// list is the content that parts make, one behind the other. A long one has no brotli: its meta-blocks cannot be put together out of kept ones (RFC 7932, 9.2: they go on with
// the distances of those before), and making it anew takes longer than all the rest of a publishing.
func (r *printing) list(parts []part) (*encoded, error) {
	n := 0
	for _, p := range parts {
		n += len(p.body)
	}
	body := make([]byte, 0, n)
	for _, p := range parts {
		body = append(body, p.body...)
	}
	if n < long {
		return r.content(body)
	}
	key := sumOf(body)
	return r.contentOf(key, func() (*encoded, error) {
		gz := joined(body, parts)
		e := &encoded{hash: key, modified: r.edition.Written.UTC().Truncate(time.Second)}
		e.bytes[identityCoding], e.sums[identityCoding] = body, key
		e.bytes[gzipCoding], e.sums[gzipCoding] = gz, sumOf(gz)
		return e, nil
	})
}
