package agent

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bolide/agent/config"
	"bolide/agent/guest"
	"bolide/imagecache"
	"bolide/imagecache/disk"
	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/image"
)

// addFile gives the image service an image.
func (n *node) addFile(t *testing.T, format string, content []byte) image.Record {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if format != "raw" {
		out, err := exec.Command("qemu-img", "convert", "-f", "raw", "-O", format, file, file+"."+format).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		file += "." + format
	}
	r, err := n.glance.Add(t.Name(), format, file, "project")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// diskContent is a small disk that has something in it.
func diskContent() []byte {
	b := make([]byte, 8<<20)
	for i := 0; i < len(b); i += 5 {
		b[i] = byte(i >> 8)
	}
	return b
}

// makeRootDisk does what a boot of the image does for its root disk.
func (n *node) makeRootDisk(t *testing.T, uuid, id string) error {
	t.Helper()
	own := n.ownTask("build", uuid, rpc.AdminContext())
	own.inst = nova.As[nova.Instance](n.newInstance(uuid))
	own.entry = n.board.Begin(own.describe())
	defer own.entry.End(nil)
	ctx := within(t, patience)
	record, err := n.cloud.Images().Get(ctx, own.id, id)
	if err != nil {
		return err
	}
	s := &spawn{task: own, image: recordOf(record), disksOf: guest.Disks{List: []guest.Disk{{Name: guest.RootDisk}}}}
	return s.makeDisks(ctx)
}

// downloads watches the image service's data go out.
type downloads struct {
	mu     sync.Mutex
	ranges []string // of the requests, in their order
	breaks int      // how many of the first break off
	whole  bool     // ranges are not heeded
}

func (d *downloads) serve(n *node) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/file") {
			return false
		}
		d.mu.Lock()
		d.ranges = append(d.ranges, r.Header.Get("Range"))
		if len(d.ranges) <= d.breaks {
			w = &breakingOff{ResponseWriter: w, left: 2 << 20}
		}
		d.mu.Unlock()
		if d.whole {
			r.Header.Del("Range")
		}
		http.StripPrefix("/image", n.glance).ServeHTTP(w, r)
		return true
	}
}

// breakingOff closes the connection after so many bytes.
type breakingOff struct {
	http.ResponseWriter
	left int
}

func (b *breakingOff) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return b.ResponseWriter.Write(p)
}

// filesMade tells which files were made in a directory since.
func filesMade(t *testing.T, dir string) func() []string {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	return func() []string {
		var names []string
		buf := make([]byte, 64<<10)
		for {
			n, err := unix.Read(fd, buf)
			if err != nil {
				return names // all are read
			}
			for b := buf[:n]; len(b) > 0; {
				length := binary.NativeEndian.Uint32(b[12:])
				name := b[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+length]
				names = append(names, string(bytes.TrimRight(name, "\x00")))
				b = b[unix.SizeofInotifyEvent+length:]
			}
		}
	}
}

// TestManyBootsOfAColdImage counts at the image service and in the cache's directory what 50 boots at once cost.
func TestManyBootsOfAColdImage(t *testing.T) {
	const boots = 50
	for _, tc := range []struct {
		name   string
		serves *downloads
		want   []string // ranges asked for
	}{
		{"smooth", &downloads{}, []string{""}},
		{"breaks off twice", &downloads{breaks: 2}, []string{"", "bytes=", "bytes="}},
		{"breaks off, no ranges", &downloads{breaks: 1, whole: true}, []string{"", "bytes=", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, nil)
			n.services = tc.serves.serve(n)
			id := n.addFile(t, "qcow2", diskContent()).ID()
			cache := filepath.Join(n.cfg.Default.InstancesPath, n.cfg.ImageCache.SubdirectoryName)
			made := filesMade(t, cache)
			var all sync.WaitGroup
			for i := range boots {
				all.Go(func() {
					if err := n.makeRootDisk(t, fmt.Sprintf("00000000-0000-0000-0000-%012d", i), id); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if len(tc.serves.ranges) != len(tc.want) {
				t.Fatalf("asked for %q", tc.serves.ranges)
			}
			for i, want := range tc.want {
				if got := tc.serves.ranges[i]; !strings.HasPrefix(got, want) || want == "" && got != "" {
					t.Errorf("request %d asked for %q", i, got)
				}
			}
			conversions := 0
			for _, name := range made() {
				if strings.HasSuffix(name, ".converted.part") {
					conversions++
				}
			}
			if conversions != 1 {
				t.Errorf("%d conversions", conversions)
			}
			base := filepath.Join(cache, imagecache.Name(id))
			if got, err := os.ReadFile(base); err != nil || !bytes.Equal(got, diskContent()) {
				t.Errorf("the base is not the image: %v", err)
			}
			for i := range boots {
				path := filepath.Join(n.instanceDir(fmt.Sprintf("00000000-0000-0000-0000-%012d", i)), guest.RootDisk)
				if chain, err := disk.Chain(path, "qcow2"); err != nil || len(chain) != 2 || chain[1] != base {
					t.Errorf("disk %d: %v, %v", i, chain, err)
				}
			}
		})
	}
}

// TestImageStoreOnThisHost takes images from where the image service keeps them.
func TestImageStoreOnThisHost(t *testing.T) {
	for _, links := range []string{"false", "true"} {
		t.Run("link_images "+links, func(t *testing.T) {
			store := t.TempDir()
			n := newNode(t, map[string]string{"bolide.image_stores": store, "bolide.link_images": links})
			seen := &downloads{}
			n.services = seen.serve(n)
			r := n.addFile(t, "raw", diskContent())
			kept, err := url.Parse(r["locations"].([]any)[0].(map[string]any)["url"].(string))
			if err != nil {
				t.Fatal(err)
			}
			// the service's folder is a mount of the store
			if err := os.Rename(filepath.Dir(kept.Path), filepath.Join(store, "images")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(store, "images"), filepath.Dir(kept.Path)); err != nil {
				t.Fatal(err)
			}
			if err := n.makeRootDisk(t, "00000000-0000-0000-0000-000000000001", r.ID()); err != nil {
				t.Fatal(err)
			}
			if len(seen.ranges) != 0 {
				t.Errorf("downloaded: %q", seen.ranges)
			}
			base, err := os.Stat(filepath.Join(n.cfg.Default.InstancesPath, n.cfg.ImageCache.SubdirectoryName, imagecache.Name(r.ID())))
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := os.Stat(kept.Path)
			if err != nil {
				t.Fatal(err)
			}
			if want := links == "true"; os.SameFile(base, theirs) != want {
				t.Errorf("base and the store's file are one: %t", !want)
			}
		})
	}
}

// keyManager answers for Barbican with one secret.
func keyManager(cert *x509.Certificate) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/key/v1/secrets/cert-id":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"content_types": {"default": "application/octet-stream"}}`)
		case "/key/v1/secrets/cert-id/payload":
			_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
		default:
			return false
		}
		return true
	}
}

func TestSignedImages(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(diskContent())
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	verify := map[string]string{"glance.verify_glance_signatures": "true"}
	validate := map[string]string{"glance.enable_certificate_validation": "true", "glance.default_trusted_certificate_ids": "missing-id,cert-id"}
	distrust := map[string]string{"glance.enable_certificate_validation": "true", "glance.default_trusted_certificate_ids": "missing-id"}
	for _, tc := range []struct {
		name    string
		options map[string]string
		sign    func(r image.Record)
		trusted []string // by the instance's owner
		fault   string
	}{
		{"not asked for", nil, func(image.Record) {}, nil, ""},
		{"signed", verify, func(image.Record) {}, nil, ""},
		{"not signed", verify, func(r image.Record) { delete(r, "img_signature") }, nil, "img_signature is missing"},
		{"of other bytes", verify, func(r image.Record) { r["img_signature"] = "AAAA" }, nil, "does not match"},
		{"trusted by the host", validate, func(image.Record) {}, nil, ""},
		{"not trusted by the host", distrust, func(image.Record) {}, nil, "not trusted"},
		{"trusted by the owner", nil, func(image.Record) {}, []string{"cert-id"}, ""},
		{"not trusted by the owner", nil, func(image.Record) {}, []string{"missing-id"}, "not trusted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, tc.options)
			n.services = keyManager(cert)
			r := n.addFile(t, "raw", diskContent())
			r["img_signature"], r["img_signature_hash_method"] = base64.StdEncoding.EncodeToString(signature), "SHA-256"
			r["img_signature_key_type"], r["img_signature_certificate_uuid"] = "ECC_SECP384R1", "cert-id"
			tc.sign(r)
			record := imageRecord{ID: r.ID(), DiskFormat: "raw", Size: 8 << 20, Properties: r}
			own := n.ownTaskFor(t)
			if tc.trusted != nil {
				certs := n.profile.New("TrustedCerts")
				certs.Set("ids", tc.trusted)
				n.conductor.answers["TrustedCerts.get_by_instance_uuid"] = certs
			}
			base, err := own.cached(within(t, patience), record, 0)
			if tc.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fault) || nova.ClassOf(imageError(err)) != "ImageUnacceptable" {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			base.Release()
		})
	}
}

// TestImageOptions follows options of nova.conf to where they take effect.
func TestImageOptions(t *testing.T) {
	cfg, _, err := config.Load(config.Options{SearchDirs: []string{}, Hostname: "here", MyIP: "127.0.0.1", Overrides: map[string]string{
		"DEFAULT.transport_url": "rabbit://guest:guest@127.0.0.1:1/", "DEFAULT.instances_path": "/instances",
		"placement.auth_type": "password", "placement.auth_url": "http://127.0.0.1:1/v3", "neutron.auth_type": "password", "neutron.auth_url": "http://127.0.0.1:1/v3",
		"DEFAULT.preallocate_images": "space", "DEFAULT.force_raw_images": "false", "DEFAULT.virt_mkfs": "linux=mkfs.xfs -L %(fs_label)s %(target)s",
		"DEFAULT.default_ephemeral_format": "ext3",
		"compute.max_concurrent_disk_ops":  "3", "compute.vmdk_allowed_types": "streamOptimized",
		"glance.num_retries": "7", "glance.api_servers": "http://a,http://b", "image_cache.subdirectory_name": "cache",
		"bolide.image_stores": "/var/lib/glance/images", "bolide.link_images": "true",
		"barbican.barbican_endpoint": "http://keys", "barbican.verify_ssl": "false",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if o := diskOptions(cfg, quiet()); o.MaxConcurrent != 3 || o.Preallocate != "space" {
		t.Errorf("disks: %+v", o)
	}
	o := cacheOptions(cfg, nil, quiet())
	if o.Dir != "/instances/cache" || o.Locks != "/instances/locks" || o.ForceRaw || o.Attempts != 8 || !o.LinkLocal ||
		!slices.Equal(o.LocalStores, []string{"/var/lib/glance/images"}) || !slices.Equal(o.VMDKTypes, []string{"streamOptimized"}) {
		t.Errorf("image cache: %+v", o)
	}
	services := cloudOptions(cfg, quiet())
	if i := services.Image; i.Retries != 7 || !slices.Equal(i.Endpoint.Servers, []string{"http://a", "http://b"}) {
		t.Errorf("image service: %+v", i)
	}
	if k := services.Key; k.Endpoint.Override != "http://keys" || !k.Auth.Insecure || !slices.Equal(k.Endpoint.Interfaces, []string{"public"}) {
		t.Errorf("key manager: %+v", k)
	}
	a := &Agent{cfg: cfg}
	linux, other := a.ephemeralBase(1, "linux"), a.ephemeralBase(1, "")
	if linux.Commands["linux"] != "mkfs.xfs -L %(fs_label)s %(target)s" || linux.DefaultFormat != "ext3" || linux.Name() == other.Name() {
		t.Errorf("ephemeral disks: %+v, %+v", linux, other)
	}
}
