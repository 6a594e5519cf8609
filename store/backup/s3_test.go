package backup

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/minio/minio-go/v7"

	"lifeline/store/fault"
	"lifeline/store/storetest"
)

// gateway is an S3 server that really refuses to remove what is locked.
func gateway(t *testing.T) S3Options {
	t.Helper()
	g := storetest.S3(t)
	return S3Options{Endpoint: g.Addr, Plain: true, Region: g.Region, Bucket: "locked", Prefix: "lifeline/", AccessKey: g.Access, SecretKey: g.Secret}
}

func bucket(t *testing.T, o S3Options, lock bool) *S3 {
	t.Helper()
	s, err := OpenS3(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.MakeBucket(t.Context(), o.Bucket, minio.MakeBucketOptions{Region: o.Region, ObjectLocking: lock}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBackupsInABucketAreLocked(t *testing.T) {
	o := gateway(t)
	far := bucket(t, o, true)
	if err := far.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	plain := o
	plain.Bucket = "plain"
	if err := bucket(t, plain, false).Check(t.Context()); fault.Of(err) != fault.Permanent {
		t.Errorf("a bucket without lock: %v", err)
	}

	v := newVendor(t, storetest.Bolt(t))
	v.Places = append(v.Places, far)
	for i := range 2 {
		v.settle(10 + i)
		v.back()
	}
	shelf := Shelf{Place: far, Trusted: v.Shelf().Trusted}
	verify := func() {
		t.Helper()
		found, err := shelf.Verify(t.Context(), VerifyOptions{Identities: []age.Identity{v.ids[0]}, Keys: v.keys})
		if err != nil || len(found) != 2 {
			t.Fatalf("%+v, %v", found, err)
		}
		for _, c := range found {
			if c.Problem != "" || !c.Opened {
				t.Errorf("%s: %+v", c.Name(), c)
			}
		}
	}
	verify()

	// A thief of the credentials: what can be done to a locked backup?
	name := "backup-00000001.age"
	if err := far.Remove(t.Context(), name); err == nil {
		t.Error("a locked backup was removed")
	}
	verify()
	id, err := far.oldest(t.Context(), name)
	v.must(err)
	err = far.client.RemoveObject(t.Context(), o.Bucket, o.Prefix+name, minio.RemoveObjectOptions{VersionID: id, GovernanceBypass: true})
	if err == nil {
		t.Error("a locked backup was removed by who may bypass governance")
	}
	err = far.client.PutObjectRetention(t.Context(), o.Bucket, o.Prefix+name, minio.PutObjectRetentionOptions{VersionID: id, GovernanceBypass: true,
		Mode: ptr(minio.Compliance), RetainUntilDate: ptr(time.Now().Add(time.Second))})
	if err == nil {
		t.Error("the time of a lock was shortened")
	}
	verify()
	// A delete marker hides it, and a newer version stands before it; both without effect.
	if err := far.client.RemoveObject(t.Context(), o.Bucket, o.Prefix+name, minio.RemoveObjectOptions{}); err != nil {
		t.Errorf("put a delete marker: %v", err)
	}
	forged := []byte("forged")
	if _, err := far.client.PutObject(t.Context(), o.Bucket, o.Prefix+name, bytes.NewReader(forged), int64(len(forged)), minio.PutObjectOptions{}); err != nil {
		t.Errorf("put a newer version: %v", err)
	}
	verify()
	// And we ourselves never write a name twice.
	f, err := os.Open(filepath.Join(string(v.dir), "backup-00000002.age"))
	v.must(err)
	defer f.Close()
	if err := far.Put(t.Context(), "backup-00000002.age", f, time.Now().Add(time.Hour)); fault.Of(err) != fault.Exists {
		t.Errorf("written twice: %v", err)
	}

	v.must(os.RemoveAll(string(v.dir))) // the first place burns
	e, err := shelf.Find(t.Context(), time.Time{})
	v.must(err)
	v.must(shelf.Restore(t.Context(), e, storetest.Bolt(t), v.options()))
	if _, err := far.Get(t.Context(), "backup-00000009.age"); fault.Of(err) != fault.NotFound {
		t.Errorf("what is not there: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

// What is no longer locked is removed in its time.
func TestABucketIsThinnedWhenItsLocksEnd(t *testing.T) {
	o := gateway(t)
	far := bucket(t, o, true)
	v := newVendor(t, storetest.Bolt(t))
	v.wallTime = time.Now().UTC().Truncate(time.Microsecond).Add(-90 * 24 * time.Hour) // so that the first two locks have ended
	v.Places = append(v.Places, far)
	for i := range 3 {
		v.settle(10 + i)
		v.back()
		v.pass(40 * 24 * time.Hour)
	}
	names, err := far.List(t.Context())
	v.must(err)
	if fmt.Sprint(names) != "[backup-00000003.age backup-00000003.json]" {
		t.Errorf("%q", names)
	}
}
