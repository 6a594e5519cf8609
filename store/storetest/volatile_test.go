package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// volatile is a disk that loses power: a file system in memory, mounted through FUSE, that keeps what was written apart from what was
// synced. When the power is cut it answers no write any more, and [volatile.lose] leaves what a disk and a file system may leave by
// POSIX: all that was synced, and of the rest nothing, or any part of it in any order. A file's sync keeps the file alone; its name is
// kept by a sync of its directory.
//
// Whoever maps a file of it into memory must be another process than the one that serves it, or a page fault can wait for itself. The
// kernel's page cache stands between: a write goes through it at once, so that a mapping shows what was written.
type volatile struct {
	fuse.RawFileSystem
	t  *testing.T
	at string // where it is mounted

	mu      sync.Mutex
	nodes   []*node // by id, which begins at 1: the root
	lies    bool    // a sync is answered and does nothing: the control that must lose data
	cutting func(op string) bool
	failing int  // the sync from now on that fails, counted from 1, and forgets what it was to keep, as Linux does; 0: none
	late    bool // what is under way at the cut is still done, though nobody hears of it
	off     bool
	cut     chan struct{} // closed when the power is
}

// node is a file or a directory: what it shows, and what of it was synced.
type node struct {
	id      uint64
	mode    uint32
	live    []byte
	stable  []byte
	names   map[string]*node // of a directory
	kept    map[string]*node
	pending []change // since its last sync
}

// change is one that was made and not yet synced. Of a file: data at an offset, or a new size. Of a directory: what a name names
// (nil: nothing any more), and the name that it had before, if it was renamed.
type change struct {
	off  int64
	data []byte
	name string
	was  string
	node *node
}

func newNode(id uint64, mode uint32) *node {
	n := &node{id: id, mode: mode}
	if mode&syscall.S_IFDIR != 0 {
		n.names, n.kept = map[string]*node{}, map[string]*node{}
	}
	return n
}

func newVolatile(t *testing.T) *volatile {
	return &volatile{RawFileSystem: fuse.NewDefaultRawFileSystem(), t: t, nodes: []*node{nil, newNode(1, syscall.S_IFDIR|0o700)}}
}

// power switches it on.
func (v *volatile) power() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.off, v.cut, v.cutting, v.late = false, make(chan struct{}), nil, rand.IntN(2) == 0
}

// mount switches it on and mounts it; the returned function unmounts it.
func (v *volatile) mount() (unmount func()) {
	v.t.Helper()
	v.power()
	dir, err := os.MkdirTemp("/tmp", "lifeline-volatile-")
	if err != nil {
		v.t.Fatal(err)
	}
	server, err := fuse.NewServer(v, dir, &fuse.MountOptions{Name: "volatile", FsName: "volatile", DirectMount: true, DisableXAttrs: true, MaxWrite: 1 << 20})
	if err != nil {
		os.Remove(dir)
		NotTested(v.t, "a power cut", "FUSE: "+err.Error())
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		v.t.Fatal(err)
	}
	v.at = dir
	var once sync.Once
	unmount = func() {
		once.Do(func() {
			if err := server.Unmount(); err != nil {
				v.t.Errorf("unmount: %v", err)
				_ = syscall.Unmount(dir, syscall.MNT_DETACH)
			}
			os.Remove(dir)
		})
	}
	v.t.Cleanup(unmount)
	return unmount
}

// cutWhen cuts the power at the first write, sync or change of a name of which when says so.
func (v *volatile) cutWhen(when func(op string) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cutting = when
}

// after says so once n operations have been done.
func after(n int) func(op string) bool {
	return func(string) bool {
		n--
		return n < 0
	}
}

// do carries an operation out while there is power.
func (v *volatile) do(op string, fn func() fuse.Status) fuse.Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.off {
		return fuse.EIO
	}
	if v.cutting != nil && v.cutting(op) {
		v.off = true
		close(v.cut)
		if v.late {
			fn()
		}
		return fuse.EIO
	}
	return fn()
}

// loss is what a power cut takes of what was not synced.
type loss struct {
	name string
	keep float64 // the share of it that survives all the same
	tear int     // bytes in which a write survives or does not; 0: whole
}

// losses are the ways in which disks fail: a cache that is gone, writes in another order, pages, sectors.
var losses = []loss{{"everything", 0, 0}, {"some writes", 0.5, 0}, {"some pages", 0.5, 4096}, {"some sectors", 0.7, 512}}

// lose leaves what the power cut has left, and says how many changes were at stake.
func (v *volatile) lose(l loss) (unsynced int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range v.nodes[1:] {
		unsynced += len(n.pending)
		for _, c := range n.pending {
			n.settle(c, l)
		}
		n.pending = nil
		n.live, n.names = append([]byte(nil), n.stable...), maps.Clone(n.kept)
	}
	return unsynced
}

// settle makes the part of a change that survives a loss stable.
func (n *node) settle(c change, l loss) {
	if n.names != nil || c.data == nil || l.tear == 0 {
		if l.keep == 1 || rand.Float64() < l.keep {
			n.keep(c)
		}
		return
	}
	for from := 0; from < len(c.data); { // pieces end at borders of the disk, wherever the write began
		to := min(len(c.data), from+l.tear-int(c.off+int64(from))%l.tear)
		if rand.Float64() < l.keep {
			n.keep(change{off: c.off + int64(from), data: c.data[from:to]})
		}
		from = to
	}
}

func (n *node) keep(c change) {
	switch {
	case n.names != nil && c.node == nil:
		delete(n.kept, c.name)
	case n.names != nil:
		delete(n.kept, c.was)
		n.kept[c.name] = c.node
	case c.data == nil:
		n.stable = resize(n.stable, c.off)
	default:
		n.stable = overlay(n.stable, c)
	}
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		clear(b[size:]) // what is cut off does not come back when it grows again
		return b[:size]
	}
	if size <= int64(cap(b)) {
		return b[:size]
	}
	return append(make([]byte, 0, size), b...)[:size]
}

func overlay(b []byte, c change) []byte {
	b = resize(b, max(int64(len(b)), c.off+int64(len(c.data))))
	copy(b[c.off:], c.data)
	return b
}

// copyTo writes what it holds into a directory of an honest disk.
func (v *volatile) copyTo(dir string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.nodes[1].copyTo(dir)
}

func (n *node) copyTo(path string) error {
	if n.names == nil {
		return os.WriteFile(path, n.live, os.FileMode(n.mode&0o777))
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for name, child := range n.names {
		if err := child.copyTo(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

func (v *volatile) node(id uint64) *node { return v.nodes[id] }

func (n *node) attr(a *fuse.Attr) {
	a.Ino, a.Mode, a.Nlink, a.Size, a.Blksize = n.id, n.mode, 1, uint64(len(n.live)), 4096
}

func (n *node) entry(out *fuse.EntryOut) {
	out.NodeId, out.Generation = n.id, 1
	out.SetEntryTimeout(time.Hour)
	out.SetAttrTimeout(time.Hour)
	n.attr(&out.Attr)
}

func (n *node) set(c change) {
	n.pending = append(n.pending, c)
	if c.node == nil {
		delete(n.names, c.name)
		return
	}
	delete(n.names, c.was)
	n.names[c.name] = c.node
}

func (v *volatile) make(in *fuse.InHeader, name string, mode uint32, out *fuse.EntryOut) fuse.Status {
	n := newNode(uint64(len(v.nodes)), mode)
	v.nodes = append(v.nodes, n)
	v.node(in.NodeId).set(change{name: name, node: n})
	n.entry(out)
	return fuse.OK
}

func (v *volatile) String() string { return fmt.Sprintf("volatile disk at %s", v.at) }

func (v *volatile) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.node(in.NodeId).names[name]
	if n == nil {
		return fuse.ENOENT
	}
	n.entry(out)
	return fuse.OK
}

func (v *volatile) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	out.SetTimeout(time.Hour)
	v.node(in.NodeId).attr(&out.Attr)
	return fuse.OK
}

func (v *volatile) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return v.do("resize", func() fuse.Status {
		n := v.node(in.NodeId)
		if mode, ok := in.GetMode(); ok {
			n.mode = n.mode&syscall.S_IFMT | mode&0o777
		}
		if size, ok := in.GetSize(); ok {
			n.live = resize(n.live, int64(size))
			n.pending = append(n.pending, change{off: int64(size)})
		}
		n.attr(&out.Attr)
		return fuse.OK
	})
}

func (v *volatile) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return v.do("name", func() fuse.Status { return v.make(&in.InHeader, name, syscall.S_IFDIR|in.Mode&0o777, out) })
}

func (v *volatile) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return v.do("name", func() fuse.Status {
		return v.make(&in.InHeader, name, syscall.S_IFREG|in.Mode&0o777, &out.EntryOut)
	})
}

func (v *volatile) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return v.do("name", func() fuse.Status {
		v.node(in.NodeId).set(change{name: name})
		return fuse.OK
	})
}

func (v *volatile) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	if in.Newdir != in.NodeId || in.Flags != 0 {
		return fuse.Status(syscall.EXDEV)
	}
	return v.do("rename to "+to, func() fuse.Status {
		d := v.node(in.NodeId)
		d.set(change{name: to, was: from, node: d.names[from]})
		return fuse.OK
	})
}

func (v *volatile) Open(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

func (v *volatile) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.OK }

// Read goes on after the power is cut: a process that maps a file would else die of it, and say so at length.
func (v *volatile) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	v.mu.Lock()
	defer v.mu.Unlock()
	live := v.node(in.NodeId).live
	n := 0
	if in.Offset < uint64(len(live)) {
		n = copy(buf, live[in.Offset:])
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (v *volatile) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	status := v.do("write", func() fuse.Status {
		n, c := v.node(in.NodeId), change{off: int64(in.Offset), data: append([]byte{}, data...)}
		n.live = overlay(n.live, c)
		n.pending = append(n.pending, c)
		return fuse.OK
	})
	if status != fuse.OK {
		return 0, status
	}
	return uint32(len(data)), fuse.OK
}

func (v *volatile) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return v.do("sync", func() fuse.Status { return v.sync(in.NodeId) })
}

func (v *volatile) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return v.do("sync directory", func() fuse.Status { return v.sync(in.NodeId) })
}

func (v *volatile) sync(id uint64) fuse.Status {
	if v.lies {
		return fuse.OK
	}
	n := v.node(id)
	if v.failing > 0 {
		if v.failing--; v.failing == 0 {
			n.pending = nil
			return fuse.EIO
		}
	}
	for _, c := range n.pending {
		n.keep(c)
	}
	n.pending = nil
	return fuse.OK
}
