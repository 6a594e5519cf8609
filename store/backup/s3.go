package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lifeline/store/fault"
)

// S3Options say where a bucket is. The credentials need no more than to put; with the right to list and get, the place also catches up with what it
// missed, and with the right to remove versions what is over is removed (else by a lifecycle rule of the bucket).
type S3Options struct {
	Endpoint  string // host or host:port
	Plain     bool   // http instead of https; for tests
	Region    string
	Bucket    string // must have object lock
	Prefix    string // of every name, such as "lifeline/"
	AccessKey string
	SecretKey string
	Transport http.RoundTripper // the outbound dialer that refuses private addresses; nil: the default
}

// S3 is a bucket with object lock (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html): in compliance mode nobody, not even its
// owner, removes a backup before its time.
type S3 struct {
	client *minio.Client
	bucket string
	prefix string
}

var _ Place = (*S3)(nil)

// OpenS3 connects to a bucket. Whether it has object lock is asked by Check.
func OpenS3(o S3Options) (*S3, error) {
	client, err := o.Client()
	if err != nil {
		return nil, err
	}
	return &S3{client: client, bucket: o.Bucket, prefix: o.Prefix}, nil
}

// Client speaks to the storage that holds the bucket.
func (o S3Options) Client() (*minio.Client, error) {
	client, err := minio.New(o.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey, ""), Secure: !o.Plain, Region: o.Region, Transport: o.Transport, MaxRetries: 3,
	})
	if err != nil {
		return nil, fault.BadField("endpoint", "is no S3 address: %v", err)
	}
	return client, nil
}

// Check refuses a bucket without object lock: what lies there could be removed with the credentials that wrote it.
func (s *S3) Check(ctx context.Context) error {
	enabled, _, _, _, err := s.client.GetObjectLockConfig(ctx, s.bucket)
	if code := minio.ToErrorResponse(err).Code; code == "ObjectLockConfigurationNotFoundError" || err == nil && enabled != "Enabled" {
		return fault.New(fault.Permanent, "%s has no object lock: make a bucket with it, since it cannot be added to all that stand", s)
	}
	if err != nil {
		return fmt.Errorf("ask %s for its object lock: %w", s, err)
	}
	return nil
}

func (s *S3) String() string { return "s3://" + s.bucket + "/" + s.prefix }

// Put implements Place.
func (s *S3) Put(ctx context.Context, name string, f *os.File, until time.Time) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", SendContentMd5: true}
	if until = until.UTC().Truncate(time.Second); time.Until(until) > time.Minute { // what comes late, after its time, cannot be locked
		o.Mode, o.RetainUntilDate = minio.Compliance, until
	}
	o.SetMatchETagExcept("*") // never a second version of a name
	_, err = s.client.PutObject(ctx, s.bucket, s.prefix+name, io.NewSectionReader(f, 0, info.Size()), info.Size(), o)
	if code := minio.ToErrorResponse(err).Code; code == "PreconditionFailed" {
		return fault.New(fault.Exists, "%s holds a %s already: does another process back up to it?", s, name)
	}
	if err != nil {
		return fmt.Errorf("put %s into %s: %w", name, s, err)
	}
	return nil
}

// versions is every version of the names that begin with prefix. Who may write can hide a name behind a delete marker or a newer version; the
// locked one stands below.
func (s *S3) versions(ctx context.Context, prefix string) (all []minio.ObjectInfo, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing when we leave early
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, WithVersions: true, Recursive: true}) {
		if o.Err != nil {
			return nil, fmt.Errorf("list %s: %w", s, o.Err)
		}
		all = append(all, o)
	}
	return all, nil
}

// oldest is the first version of a name: the one that was locked when it was written.
func (s *S3) oldest(ctx context.Context, name string) (id string, err error) {
	all, err := s.versions(ctx, name)
	if err != nil {
		return "", err
	}
	var first *minio.ObjectInfo
	for i, o := range all {
		if o.Key == s.prefix+name && !o.IsDeleteMarker && (first == nil || !o.LastModified.After(first.LastModified)) {
			first = &all[i] // listed newest first
		}
	}
	if first == nil {
		return "", fault.New(fault.NotFound, "%s has no %s", s, name)
	}
	return first.VersionID, nil
}

// Get implements Place.
func (s *S3) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	id, err := s.oldest(ctx, name)
	if err != nil {
		return nil, err
	}
	o, err := s.client.GetObject(ctx, s.bucket, s.prefix+name, minio.GetObjectOptions{VersionID: id})
	if err != nil {
		return nil, fmt.Errorf("get %s from %s: %w", name, s, err)
	}
	return o, nil
}

// List implements Place.
func (s *S3) List(ctx context.Context) ([]string, error) {
	all, err := s.versions(ctx, "")
	if err != nil {
		return nil, err
	}
	var names []string
	seen := map[string]bool{}
	for _, o := range all {
		name := strings.TrimPrefix(o.Key, s.prefix)
		if !o.IsDeleteMarker && !seen[name] && !strings.Contains(name, "/") {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, nil
}

// Remove implements Place: every version, which a lock refuses until its time.
func (s *S3) Remove(ctx context.Context, name string) error {
	all, err := s.versions(ctx, name)
	if err != nil {
		return err
	}
	var problems []error
	for _, o := range all {
		if o.Key != s.prefix+name {
			continue
		}
		if err := s.client.RemoveObject(ctx, s.bucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID}); err != nil {
			problems = append(problems, fmt.Errorf("remove %s from %s: %w", name, s, err))
		}
	}
	return errors.Join(problems...)
}
