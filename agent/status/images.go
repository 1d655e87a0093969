package status

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// ImageCache is the node's cache of images as an administrator sees and steers it. Its methods may take long, end with
// their ctx, and are safe for concurrent use.
type ImageCache interface {
	// ListImages lists what the cache holds and what is on its way there.
	ListImages(ctx context.Context) (ImageList, error)
	// VerifyImages reads files of the cache again, all without a name, and tells what became of each: now and then
	// how far it is, and its result once. A name is a file's or the image's id; one that is not there is an error.
	VerifyImages(ctx context.Context, name string, tell func(ImageCheck)) error
	// PruneImages removes what nothing uses and is old enough, or says what it would remove.
	PruneImages(ctx context.Context, r PruneRequest) (PruneResult, error)
}

// CachedImage is one file of the image cache. Sizes are in bytes.
type CachedImage struct {
	Name        string    `json:"name"`             // of the file
	Image       string    `json:"image,omitempty"`  // the image's id; absent = not known
	Format      string    `json:"format,omitempty"` // absent = not known
	VirtualSize int64     `json:"virtual_size"`     // as guests see it; 0 = not known
	Allocated   int64     `json:"allocated"`        // on the host
	LastUse     time.Time `json:"last_use"`
	Fetched     time.Time `json:"fetched,omitzero"` // absent = brought by Nova's node
	Verified    bool      `json:"verified"`         // came through a checksum of the image service
	Users       int       `json:"users"`            // disks that rest on it
	Builds      int       `json:"builds"`           // builds that hold it now
}

// ImageWork is an image on its way into the cache.
type ImageWork struct {
	Image       string    `json:"image"` // its id, or the name of an empty base
	Phase       string    `json:"phase"` // waiting, downloading, checking or converting
	Started     time.Time `json:"started"`
	Done        int64     `json:"done"`         // bytes of the phase
	Total       int64     `json:"total"`        // bytes of the phase; 0 = not known
	Rate        int64     `json:"rate"`         // bytes a second
	SecondsLeft int64     `json:"seconds_left"` // of the phase; -1 = not known
	Waiters     int       `json:"waiters"`      // builds that wait for it
}

// ImageList is what GET /v1/images answers. Sizes are in bytes.
type ImageList struct {
	Images []CachedImage `json:"images"` // by name
	Work   []ImageWork   `json:"work"`   // by image
	Bytes  int64         `json:"bytes"`  // what the cache takes of the disk that guests use
	Limit  int64         `json:"limit"`  // 0 = none
}

// Results of an ImageCheck.
const (
	ImageIntact       = "intact"
	ImageDamaged      = "damaged"
	ImageUnverifiable = "unverifiable" // nothing is known to compare it with
	ImageUnread       = "unread"       // see Error
)

// ImageCheck is one line of what POST /v1/images/verify answers.
type ImageCheck struct {
	Name   string `json:"name"`
	Image  string `json:"image,omitempty"`
	Done   int64  `json:"done"`  // bytes
	Total  int64  `json:"total"` // bytes
	Result string `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
}

// ImageName is what POST /v1/images/verify takes.
type ImageName struct {
	Name string `json:"name"` // of a file, or an image's id; "" = all
}

// PruneRequest is what POST /v1/images/prune takes.
type PruneRequest struct {
	DryRun bool `json:"dry_run"`
	All    bool `json:"all"` // whatever nothing uses, however young
}

// PruneResult is what POST /v1/images/prune answers.
type PruneResult struct {
	Removed []CachedImage `json:"removed"` // or, of a dry run, what would be
	Kept    int           `json:"kept"`
}

// pruneTimeout bounds a pruning: the control plane is asked who uses what.
const pruneTimeout = 2 * time.Minute

func (s *Server) getImages(w http.ResponseWriter, r *http.Request) {
	if s.noImages(w) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.opts.RequestTimeout)
	defer cancel()
	list, err := s.opts.Images.ListImages(ctx)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	list.Images, list.Work = notNil(list.Images), notNil(list.Work)
	reply(w, http.StatusOK, list)
}

func (s *Server) postImagesPrune(w http.ResponseWriter, r *http.Request) {
	var in PruneRequest
	if s.noImages(w) || !readBody(w, r, &in) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pruneTimeout)
	defer cancel()
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(pruneTimeout + s.opts.RequestTimeout)); err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	result, err := s.opts.Images.PruneImages(ctx, in)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	result.Removed = notNil(result.Removed)
	reply(w, http.StatusOK, result)
}

// postImagesVerify sends one JSON object a line until all is read or the client goes. A name that is not there is told
// before anything is sent.
func (s *Server) postImagesVerify(w http.ResponseWriter, r *http.Request) {
	var in ImageName
	if s.noImages(w) || !readBody(w, r, &in) {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &checkLines{w: w, timeout: s.opts.RequestTimeout, fail: cancel}
	err := s.opts.Images.VerifyImages(ctx, in.Name, out.send)
	switch {
	case err != nil && !out.begun:
		problem(w, http.StatusNotFound, err.Error())
	case err != nil:
		s.opts.Log.WithError(err).Info("verification of the image cache was not finished")
	case !out.begun:
		out.begin()
	}
}

// checkLines writes results to a client; one that does not read ends the work.
type checkLines struct {
	w       http.ResponseWriter
	timeout time.Duration
	fail    func()

	mu    sync.Mutex
	begun bool
}

func (c *checkLines) begin() {
	c.begun = true
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	c.w.WriteHeader(http.StatusOK)
}

func (c *checkLines) send(check ImageCheck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		c.begin()
	}
	ctl := http.NewResponseController(c.w)
	err := errors.Join(ctl.SetWriteDeadline(time.Now().Add(c.timeout)), json.NewEncoder(c.w).Encode(check), ctl.Flush())
	if err != nil {
		c.fail()
	}
}

func (s *Server) noImages(w http.ResponseWriter) bool {
	if s.opts.Images == nil {
		problem(w, http.StatusNotImplemented, "this daemon has no image cache")
	}
	return s.opts.Images == nil
}

// readBody reads a JSON body; an empty one is that of a request without options.
func readBody(w http.ResponseWriter, r *http.Request, in any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil && !errors.Is(err, io.EOF) {
		problem(w, http.StatusBadRequest, "body: "+err.Error())
		return false
	}
	return true
}
