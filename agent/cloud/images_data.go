package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ErrNoRange means that the server, or what lies behind it, cannot send a part
// of an image.
var ErrNoRange = errors.New("image: the server does not send parts of an image")

// ErrNoData means that an image has a record but no data.
var ErrNoData = errors.New("image: it has no data")

// uploadFinish bounds the wait after the last byte of an upload, while the store
// writes and hashes what it got.
const uploadFinish = 15 * time.Minute

// Open streams an image's data from the offset on, in bytes. The stream fails
// when nothing arrives for the service's timeout. An offset that the server
// ignores gives ErrNoRange, an image without data ErrNoData.
func (c *Images) Open(ctx context.Context, id Identity, imageID string, offset int64) (io.ReadCloser, error) {
	r := request{
		method: http.MethodGet, path: imagePath(imageID) + "/file", stream: true,
		ok:     []int{http.StatusOK, http.StatusNoContent, http.StatusPartialContent},
		header: map[string]string{"Accept": "application/octet-stream"},
	}
	if offset > 0 {
		r.header["Range"] = fmt.Sprintf("bytes=%d-", offset)
	}
	got, err := c.svc.open(ctx, id, r)
	if err != nil {
		if IsStatus(err, http.StatusRequestedRangeNotSatisfiable) {
			return nil, fmt.Errorf("%w: %w", ErrNoRange, err)
		}
		return nil, err
	}
	body := got.body
	switch {
	case got.status == http.StatusNoContent:
		return nil, errors.Join(ErrNoData, body.Close())
	case offset > 0 && got.status != http.StatusPartialContent:
		return nil, errors.Join(ErrNoRange, body.Close())
	}
	return body, nil
}

// Upload is an image's data on its way to Glance.
type Upload struct {
	// Body is read to its end, once. Required.
	Body io.Reader
	// Size in bytes, if known; a Body of another length is an error.
	Size int64
	// Progress is called after each read with the bytes so far and Size.
	// Optional.
	Progress func(done, total int64)
}

// Upload sends the data of a queued image and returns when Glance has stored
// it. It is not tried again: the body can be read only once.
func (c *Images) Upload(ctx context.Context, id Identity, imageID string, u Upload) error {
	ctx, alarm := newAlarm(ctx, c.svc.timeout)
	defer alarm.stop()
	err := c.svc.do(ctx, id, request{
		method: http.MethodPut, path: imagePath(imageID) + "/file", body: &upload{Upload: u, alarm: alarm},
		header: map[string]string{"Content-Type": "application/octet-stream"}, ok: []int{http.StatusNoContent},
	})
	return err
}

// upload watches the body on its way.
type upload struct {
	Upload
	alarm *alarm
	done  int64
}

func (u *upload) Read(p []byte) (int, error) {
	u.alarm.pause() // reading the local disk is not the network's time
	n, err := u.Body.Read(p)
	u.done += int64(n)
	if u.Size > 0 && (u.done > u.Size || err == io.EOF && u.done != u.Size) {
		return n, fmt.Errorf("image data is %d bytes long, expected %d", u.done, u.Size)
	}
	if n > 0 && u.Progress != nil {
		u.Progress(u.done, u.Size)
	}
	if err == io.EOF {
		u.alarm.reset(uploadFinish)
	} else {
		u.alarm.reset(u.alarm.after)
	}
	return n, err
}
