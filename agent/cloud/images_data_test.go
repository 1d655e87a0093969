package cloud

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestStalledDownload(t *testing.T) {
	s := newStalledSite(t, func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "8")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
	})
	o := s.options()
	o.Image.Timeout = 50 * time.Millisecond
	body, err := open(t, o).Images().Open(t.Context(), Identity{}, "i", 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if string(got) != "half" || err == nil || !strings.Contains(err.Error(), "nothing was transferred for 50ms") {
		t.Errorf("read %q, %v", got, err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

func TestDownloadThatNeverBegins(t *testing.T) {
	s := newStalledSite(t, func(http.ResponseWriter) {})
	o := s.options()
	o.Image.Timeout, o.Image.Retries = 30*time.Millisecond, 1
	_, err := open(t, o).Images().Open(t.Context(), Identity{}, "i", 0)
	if !IsUnreachable(err) || len(s.requests()) != 2 {
		t.Errorf("%v after %d requests", err, len(s.requests()))
	}
}

func TestCutOffDownload(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
	})
	body, err := open(t, s.options()).Images().Open(t.Context(), Identity{}, "i", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadAll(body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read: %v", err)
	}
}

func TestRangeThatIsIgnored(t *testing.T) {
	s := newSite(t, says("everything"))
	_, err := open(t, s.options()).Images().Open(t.Context(), Identity{}, "i", 3)
	if !errors.Is(err, ErrNoRange) {
		t.Errorf("error %v", err)
	}
	if got := s.requests()[0].Header.Get("Range"); got != "bytes=3-" {
		t.Errorf("range %q", got)
	}
}

func TestStalledUpload(t *testing.T) {
	s := newStalledSite(t, func(http.ResponseWriter) {}) // reads nothing
	o := s.options()
	o.Image.Timeout = 50 * time.Millisecond
	body := bytes.NewReader(make([]byte, 64<<20)) // more than the sockets hold
	err := open(t, o).Images().Upload(t.Context(), Identity{}, "i", Upload{Body: body})
	if err == nil || !strings.Contains(err.Error(), "nothing was transferred for 50ms") {
		t.Errorf("error %v", err)
	}
}

func TestUploadOfAnotherSize(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})
	images := open(t, s.options()).Images()
	for size, ok := range map[int64]bool{0: true, 4: true, 3: false, 5: false} {
		err := images.Upload(t.Context(), Identity{}, "i", Upload{Body: strings.NewReader("four"), Size: size})
		if (err == nil) != ok {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func TestAddLocation(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		want := `[{"op":"add","path":"/locations/-","value":{"url":"rbd://fsid/pool/image/snap","metadata":{}}}]`
		if err != nil || string(body) != want || r.Header.Get("Content-Type") != "application/openstack-images-v2.1-json-patch" {
			t.Errorf("%s %s, %v", r.Header.Get("Content-Type"), body, err)
		}
		says(`{"id": "i", "locations": [{"url": "rbd://fsid/pool/image/snap"}], "direct_url": null, "os_hidden": false, "number": 7}`)(w, r)
	})
	image, err := open(t, s.options()).Images().AddLocation(t.Context(), Identity{}, "i", Location{URL: "rbd://fsid/pool/image/snap"})
	if err != nil || len(image.Locations) != 1 || len(image.Properties) != 1 || image.Properties["number"] != "7" {
		t.Errorf("%+v, %v", image, err)
	}
}

func TestImageListIsRead(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("owner") != "me" || r.URL.Query().Get("sort_key") != "created_at" {
			t.Errorf("query %s", r.URL.RawQuery)
		}
		if r.URL.Query().Get("marker") == "" {
			says(`{"images": [{"id": "1"}], "next": "/v2/images?marker=1&owner=me&sort_key=created_at"}`)(w, r)
			return
		}
		says(`{"images": [{"id": "2"}]}`)(w, r)
	})
	images, err := open(t, s.options()).Images().List(t.Context(), Identity{}, url.Values{"owner": {"me"}})
	if err != nil || len(images) != 2 || images[1].ID != "2" {
		t.Errorf("%+v, %v", images, err)
	}
}
