package contacts

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"lifeline/store/fault"
)

// The formats of an import file.
const (
	FormatAuto      = "" // told by the first character: { begins JSON lines
	FormatCSV       = "csv"
	FormatJSONLines = "jsonl"
)

const (
	maxField = 64 << 10 // bytes of one value
	maxLine  = 1 << 20  // bytes of one line
	sniffed  = 4 << 10  // bytes looked at before anything is read
)

// lines reads a file line by line and never holds more than one.
type lines struct {
	in   *bufio.Reader
	line int   // number of the line read last, from 1
	left int64 // bytes that may still come
	max  int64
}

func newLines(r io.Reader, most int64) *lines {
	return &lines{in: bufio.NewReaderSize(r, 64<<10), left: most, max: most}
}

var errLongLine = errors.New("is longer than 1 MiB")

// text reads a line without its end (LF or CRLF); io.EOF behind the last. With errLongLine it is the beginning of the line, and the rest was passed over.
func (l *lines) text() (string, error) {
	var text []byte
	long := false
	for {
		part, err := l.in.ReadSlice('\n')
		if l.left -= int64(len(part)); l.left < 0 {
			return "", fault.New(fault.TooLarge, "the file is larger than %d bytes; split it (what was read so far is kept)", l.max)
		}
		long = long || len(text)+len(part) > maxLine
		if !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(part) == 0 && len(text) == 0 && !long:
			return "", io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return "", err
		}
		l.line++
		if long {
			return string(text), errLongLine
		}
		text = bytes.TrimSuffix(text, []byte("\n"))
		return string(bytes.TrimSuffix(text, []byte("\r"))), nil
	}
}

// open looks at the beginning of the file, passes over a byte order mark, and tells the format. What is no UTF-8 text is refused
// with what it seems to be.
func (l *lines) open(format string) (string, error) {
	head, err := l.in.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = l.in.Discard(3)
		l.left -= 3
		head = head[3:]
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return "", badFile("is UTF-16; save it as UTF-8")
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return "", badFile("is a workbook or a ZIP archive; save the sheet as CSV in UTF-8")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")), bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return "", badFile("is compressed; unpack it first")
	}
	if n := bytes.Count(head, []byte{0}); n > 0 {
		if n > len(head)/4 {
			return "", badFile("seems to be UTF-16 or UTF-32; save it as UTF-8")
		}
		return "", badFile("is not text: it contains NUL bytes")
	}
	start := bytes.TrimLeft(head, " \t\r\n")
	if len(start) == 0 && len(head) < sniffed-3 {
		return "", badFile("is empty")
	}
	if bytes.HasPrefix(start, []byte("[")) {
		return "", badFile("is a JSON array; write one object per line, without brackets and commas around them")
	}
	switch format {
	case FormatAuto:
		if bytes.HasPrefix(start, []byte("{")) {
			return FormatJSONLines, nil
		}
		return FormatCSV, nil
	case FormatCSV, FormatJSONLines:
		return format, nil
	}
	return "", fault.BadField("format", "%.40q is not known; it may be csv or jsonl", format)
}

func badFile(reason string) error { return fault.BadField("file", "%s", reason) }

// rawRow is a row as it was written.
type rawRow struct {
	line  int
	cells [columnCount][]string // nil: not given
	bad   []Rejected            // what made it unreadable
}

func (r *rawRow) empty() bool {
	for _, c := range r.cells {
		if len(c) > 0 {
			return false
		}
	}
	return len(r.bad) == 0
}

func (r *rawRow) reject(field, reason string) {
	r.bad = append(r.bad, Rejected{Line: r.line, Field: field, Reason: reason})
}

// reader yields the rows of a file.
type reader struct {
	*lines
	next func() (rawRow, error) // io.EOF behind the last. A row that cannot be read says so in bad; another error ends the file
}

func newReader(in io.Reader, format string, most int64) (reader, error) {
	l := newLines(in, most)
	format, err := l.open(format)
	if err != nil {
		return reader{}, err
	}
	if format == FormatJSONLines {
		return reader{l, (&jsonReader{lines: l}).next}, nil
	}
	c := &csvReader{lines: l}
	if err := c.header(); err != nil {
		return reader{}, err
	}
	return reader{l, c.next}, nil
}

// csvReader reads CSV (RFC 4180). It is our own because one stray quotation mark must cost one row, not the rest of the
// file: when a record turns out broken, reading goes on with the line behind its first.
type csvReader struct {
	lines   *lines
	again   []numbered // lines to be read once more
	columns []column
	broke   int // the value, from 0, at which the record that cannot be read breaks off; -1: none of them
}

type numbered struct {
	text string
	line int
	long bool // over maxLine: the text is its beginning
}

func (c *csvReader) line() (numbered, error) {
	if len(c.again) > 0 {
		n := c.again[0]
		c.again = c.again[1:]
		return n, nil
	}
	text, err := c.lines.text()
	if errors.Is(err, errLongLine) {
		return numbered{text: text, line: c.lines.line, long: true}, nil
	}
	return numbered{text: text, line: c.lines.line}, err
}

// record reads one record. reason is why it cannot be read.
func (c *csvReader) record() (cells []string, line int, reason string, err error) {
	var first numbered
	for {
		first, err = c.line()
		if err != nil {
			return nil, 0, "", err
		}
		if first.long || strings.TrimSpace(first.text) != "" {
			break
		}
	}
	var s splitter
	reason = c.feed(&s, first)
	var read []numbered
	for reason == "" && s.quoted {
		n, err := c.line()
		switch {
		case errors.Is(err, io.EOF):
			reason = "has a quotation mark that is not closed"
			continue
		case err != nil:
			return nil, 0, "", err
		}
		read = append(read, n)
		s.cell = append(s.cell, '\n')
		reason = c.feed(&s, n)
	}
	if reason != "" {
		c.again = append(read, c.again...)
		return nil, first.line, reason, nil
	}
	return s.cells, first.line, "", nil
}

// feed takes a line apart and notes where it breaks off. A line that is too long is said to be so unless one value of it is.
func (c *csvReader) feed(s *splitter, n numbered) (reason string) {
	reason = s.feed(n.text)
	if c.broke = len(s.cells); n.long && reason == "" {
		reason, c.broke = errLongLine.Error(), -1
	}
	return reason
}

// brokenField is the name of the column at which a record breaks off, or "row".
func (c *csvReader) brokenField() string {
	if c.broke < 0 || c.broke >= len(c.columns) {
		return "row"
	}
	return c.columns[c.broke].String()
}

// splitter takes a record apart, a line at a time.
type splitter struct {
	cells  []string
	cell   []byte
	quoted bool // within quotation marks
}

func (s *splitter) feed(line string) (reason string) {
	closed := false // the quotation mark of this cell was closed
	started := s.quoted
	for i := 0; i < len(line); i++ {
		b := line[i]
		switch {
		case s.quoted && b == '"' && i+1 < len(line) && line[i+1] == '"':
			s.cell = append(s.cell, '"')
			i++
		case s.quoted && b == '"':
			s.quoted, closed = false, true
		case s.quoted:
			s.cell = append(s.cell, b)
		case b == ',':
			s.cells = append(s.cells, string(s.cell))
			s.cell, closed, started = s.cell[:0], false, false
		case b == '"' && !started:
			s.quoted, started = true, true
		case b == '"':
			return "has a quotation mark inside a value; double it and put the value in quotation marks"
		case closed:
			return "has text behind a closing quotation mark"
		default:
			s.cell, started = append(s.cell, b), true
		}
		if len(s.cell) > maxField {
			return "has a value longer than 64 KiB, or a quotation mark that is not closed"
		}
		if len(s.cells) > 4*int(columnCount) {
			return "has far more values than there are columns"
		}
	}
	if !s.quoted {
		s.cells = append(s.cells, string(s.cell))
	}
	return ""
}

// header reads the first record and finds its columns.
func (c *csvReader) header() error {
	cells, _, reason, err := c.record()
	switch {
	case errors.Is(err, io.EOF):
		return badFile("is empty")
	case err != nil:
		return err
	case reason != "":
		return fault.BadField("header", "cannot be read: %s", reason)
	}
	if len(cells) == 1 {
		if err := otherDelimiter(cells[0]); err != nil {
			return err
		}
	}
	var bad []fault.Field
	for _, name := range cells {
		if !utf8.ValidString(name) {
			return badFile("is not UTF-8; save it as UTF-8")
		}
		name = strings.ToLower(strings.TrimSpace(name))
		col, ok := columnNamed(name)
		switch {
		case strings.Contains(name, "\r"):
			return badFile("ends its lines with CR alone; use LF or CRLF")
		case name == "":
			bad = append(bad, fault.Field{Field: "header", Code: "unknown", Reason: "has a column without a name"})
		case !ok:
			bad = append(bad, fault.Field{Field: quote(name), Code: "unknown", Reason: "is not a column; the columns are " + strings.Join(columnNames[:], ", ")})
		case slices.Contains(c.columns, col):
			bad = append(bad, fault.Field{Field: name, Code: "duplicate", Reason: "is a column twice"})
		}
		c.columns = append(c.columns, col)
	}
	if len(bad) > 0 {
		return fault.BadFields(bad[:min(len(bad), 20)]...)
	}
	for _, key := range []column{colAccount, colAccountID, colSiteID} {
		if slices.Contains(c.columns, key) {
			return nil
		}
	}
	return fault.BadField("header", "must have a column account, account_id or site_id, so that rows say whose they are")
}

// otherDelimiter notices a header that would make sense with another separator.
func otherDelimiter(header string) error {
	for _, d := range []string{";", "\t", "|"} {
		known := 0
		for _, name := range strings.Split(header, d) {
			if _, ok := columnNamed(strings.ToLower(strings.Trim(name, "\" "))); ok {
				known++
			}
		}
		if known > 1 {
			return fault.BadField("header", "separates its columns with %q; separate them with commas", d)
		}
	}
	return nil
}

func (c *csvReader) next() (rawRow, error) {
	cells, line, reason, err := c.record()
	if err != nil {
		return rawRow{}, err
	}
	row := rawRow{line: line}
	if reason != "" {
		row.reject(c.brokenField(), reason)
		return row, nil
	}
	if len(cells) != len(c.columns) {
		if strings.TrimSpace(strings.Join(cells, "")) != "" {
			row.reject("row", countReason(len(cells), len(c.columns)))
		}
		return row, nil
	}
	for i, cell := range cells {
		if strings.TrimSpace(cell) != "" {
			row.cells[c.columns[i]] = split(c.columns[i], unguarded(cell))
		}
	}
	return row, nil
}

// split takes apart a text with several values. It yields one value more than are allowed at most, for the check of
// their number to see.
func split(col column, cell string) []string {
	if !col.many() {
		return []string{cell}
	}
	var values []string
	for _, v := range strings.SplitN(cell, ";", maxList+2) {
		if strings.TrimSpace(v) != "" {
			values = append(values, v)
		}
	}
	return values
}
