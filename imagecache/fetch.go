package imagecache

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"
)

const (
	partSuffix      = ".part"
	convertedSuffix = ".converted"
)

// errRestart reports that what a .part file holds is of no use.
var errRestart = errors.New("download has to start again")

// fetch brings an image's bytes into the .part file, whole, synced and checked, continuing what an earlier attempt
// left. On errors that another attempt may cure the file stays.
func (c *Cache) fetch(ctx context.Context, f *flight, img Image, src Source, part string) error {
	var err error
	restarted := false
	for attempt := 1; ; attempt++ {
		err = c.download(ctx, f, img, src, part)
		var sum *ErrChecksum
		if errors.As(err, &sum) || errors.Is(err, errRestart) {
			// Wrong bytes may have come from an earlier, broken attempt, or be wrong only once.
			if rerr := os.Remove(part); rerr != nil {
				return rerr
			}
			if restarted {
				return err
			}
			restarted = true
			continue
		}
		var broken *brokenError
		if !errors.As(err, &broken) {
			break
		}
		if attempt >= c.opts.Attempts || ctx.Err() != nil {
			err = &ErrFetch{Image: img.ID, Err: broken.err}
			break
		}
		c.opts.Log.WithError(broken.err).WithField("image", img.ID).Warn("download broke off, continuing")
		if err = pause(ctx, c.opts.RetryDelay); err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// brokenError is a stream that ended before its time.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }

// download makes one attempt.
func (c *Cache) download(ctx context.Context, f *flight, img Image, src Source, part string) error {
	file, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	start, err := resumeAt(file, img)
	if err != nil {
		return err
	}
	free, err := c.reserve(img.ID, max(0, img.Size-start))
	if err != nil {
		return err
	}
	defer free()
	f.enter(Downloading, img.Size, c.opts.Now())
	judge, err := c.newJudge(ctx, img, file, start)
	if err != nil {
		return err
	}
	body, from, err := open(ctx, src, img, start)
	if err != nil {
		return err
	}
	watched := watch(ctx, body, c.opts.StallTimeout)
	defer watched.Close()
	if from != start {
		if judge, err = c.newJudge(ctx, img, file, from); err != nil {
			return err
		}
	}
	w := &sparseWriter{file: file, off: from}
	if err := file.Truncate(from); err != nil {
		return err
	}
	if err := c.receive(ctx, f, img, watched, io.MultiWriter(w, judge), from); err != nil {
		return errors.Join(err, w.finish())
	}
	if err := errors.Join(w.finish(), file.Sync()); err != nil {
		return err
	}
	return judge.verify(img.ID)
}

// resumeAt returns the offset to continue at: the end of what is there, when a checksum will tell whether it was
// right. A file that is longer than the image is of no use, nor is one that is also the image service's own.
func resumeAt(file *os.File, img Image) (int64, error) {
	st, err := file.Stat()
	if err != nil {
		return 0, err
	}
	switch {
	case links(st) > 1, img.Size > 0 && st.Size() > img.Size:
		return 0, errRestart
	case img.HashValue == "" && img.MD5 == "":
		return 0, nil
	}
	return st.Size(), nil
}

// judge sees all bytes of an image and says at the end whether they are the image's.
type judge struct {
	sum      *checksum
	verifier *verifier
}

// newJudge returns a judge that has seen the first start bytes of the file.
func (c *Cache) newJudge(ctx context.Context, img Image, file *os.File, start int64) (j judge, err error) {
	if j.sum, err = newChecksum(img); err != nil {
		return j, err
	}
	if j.verifier, err = img.Signatures.verifier(ctx, img); err != nil {
		return j, err
	}
	return j, replay(ctx, j, file, start)
}

func (j judge) Write(p []byte) (int, error) {
	return io.MultiWriter(j.sum, j.verifier).Write(p)
}

func (j judge) verify(image string) error {
	if err := j.sum.verify(image); err != nil {
		return err
	}
	return j.verifier.verify(image)
}

// open opens the image at the offset, or at 0 where the source cannot. An image that is all there is not opened.
func open(ctx context.Context, src Source, img Image, start int64) (io.ReadCloser, int64, error) {
	if img.Size > 0 && start == img.Size {
		return io.NopCloser(strings.NewReader("")), start, nil
	}
	body, err := src.Open(ctx, img.ID, start)
	if errors.Is(err, ErrNoRange) && start > 0 {
		start = 0
		body, err = src.Open(ctx, img.ID, 0)
	}
	if err != nil {
		return nil, 0, &ErrFetch{Image: img.ID, Err: err}
	}
	return body, start, nil
}

// receive copies the body to w and counts. A body longer than the image is refused as soon as it is.
func (c *Cache) receive(ctx context.Context, f *flight, img Image, body io.Reader, w io.Writer, start int64) error {
	buf := make([]byte, 1<<20)
	f.transferred.Store(start)
	for got := start; ; {
		n, err := fill(ctx, body, buf)
		got += int64(n)
		if img.Size > 0 && got > img.Size {
			return &ErrUnacceptable{Image: img.ID, Reason: "it is longer than the image service states"}
		}
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		f.transferred.Store(got)
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF):
			return &brokenError{err}
		case img.Size > 0 && got < img.Size:
			return &brokenError{io.ErrUnexpectedEOF}
		default:
			return nil
		}
	}
}

// fill reads until buf is full and, unlike io.ReadFull, tells a stream's end from its breaking off.
func fill(ctx context.Context, r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		if err = ctx.Err(); err == nil {
			var m int
			m, err = r.Read(buf[n:])
			n += m
		}
	}
	return n, err
}

// replay feeds what is there already to the checksum.
func replay(ctx context.Context, w io.Writer, file *os.File, size int64) error {
	buf := make([]byte, 1<<20)
	r := io.NewSectionReader(file, 0, size)
	for {
		n, err := fill(ctx, r, buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
