// Package images measures what two nodes do for the root disk of a boot: Bolide's image cache, and Nova's own code with
// the same image, image service and disk. Each runs in a process of its own, which tells how long it took; what it wrote
// is the kernel's account.
//
// It starts no goroutines but those of the image service that it serves.
package images

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"bolide/test/controller/image"
	"bolide/test/controller/store"
)

//go:embed root_disk.py
var novaProgram []byte

// Options say where and how much is measured.
type Options struct {
	Dir    string   // on the disk to measure; emptied afterwards. Required
	Step   []string // command that runs [Step] with the arguments that follow. Required
	Python string   // that has Nova's packages; default /usr/bin/python3
	Boots  int      // boots from the cached image; default 20
	Rounds int      // conversions and copies, of which the quickest counts; default 3
	Sizes  []Size   // of the images; times are told of the first one. Default [DefaultSizes]
}

// Size is how large an image is, in MiB.
type Size struct{ Virtual, Data int64 }

// DefaultSizes are an image of 2 GiB, a smaller and a larger one.
func DefaultSizes() []Size { return []Size{{2048, 512}, {256, 64}, {8192, 1024}} }

// Node is what was measured of one node.
type Node struct {
	Cold    time.Duration   // root disk of the first boot of an image
	Written int64           // bytes written for it
	Cached  []time.Duration // root disks of boots from the cached image, sorted
	Peaks   []int64         // of resident memory in bytes, one for each size
}

// Result is what was measured.
type Result struct {
	Sizes         []Size
	Nova, Bolide  Node
	Convert, Copy time.Duration // of the first image: Bolide's conversion to raw, and cp --sparse of the result
}

// answer is what a process prints.
type answer struct {
	Boots []float64 `json:"boots"` // seconds
	Peak  int64     `json:"peak"`  // bytes
}

// bench is one run.
type bench struct {
	Options
	images *image.Service
	glance string // its URL
	ids    []string
	files  []string // the images'
}

// Run measures both nodes.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Python == "" {
		o.Python = "/usr/bin/python3"
	}
	if o.Boots == 0 {
		o.Boots = 20
	}
	if o.Rounds == 0 {
		o.Rounds = 3
	}
	if o.Sizes == nil {
		o.Sizes = DefaultSizes()
	}
	b := &bench{Options: o}
	defer os.RemoveAll(o.Dir)
	stop, err := b.serve()
	if err != nil {
		return Result{}, err
	}
	defer stop()
	if err := b.makeImages(ctx); err != nil {
		return Result{}, err
	}
	script := filepath.Join(o.Dir, "root_disk.py")
	if err := os.WriteFile(script, novaProgram, 0o644); err != nil {
		return Result{}, err
	}
	r := Result{Sizes: o.Sizes}
	if r.Nova, err = b.node(ctx, "nova", []string{o.Python, script}); err != nil {
		return r, fmt.Errorf("nova: %w", err)
	}
	if r.Bolide, err = b.node(ctx, "bolide", append(slices.Clone(o.Step), "boot")); err != nil {
		return r, fmt.Errorf("bolide: %w", err)
	}
	r.Convert, r.Copy, err = b.conversion(ctx)
	return r, err
}

// imageSchema names the attributes of images that Nova takes.
const imageSchema = `{"name": "image", "properties": {"id": {}, "name": {}, "status": {}, "owner": {}, "visibility": {},
	"disk_format": {}, "container_format": {}, "size": {}, "checksum": {}, "os_hash_algo": {}, "os_hash_value": {},
	"min_disk": {}, "min_ram": {}, "created_at": {}, "updated_at": {}}}`

// serve runs the image service.
func (b *bench) serve() (stop func(), err error) {
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return nil, err
	}
	kept, err := store.Open(filepath.Join(b.Dir, "store"))
	if err != nil {
		return nil, err
	}
	if b.images, err = image.New(image.Options{Store: kept, Dir: filepath.Join(b.Dir, "glance")}); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.glance = "http://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("/", b.images)
	mux.HandleFunc("GET /v2/schemas/image", func(w http.ResponseWriter, _ *http.Request) { // Nova's client asks for it
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, imageSchema)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // until it is closed
	}()
	return func() {
		_ = server.Close()
		<-ended
		_ = kept.Close()
	}, nil
}

// makeImages gives the service sparse qcow2 images whose data does not compress away.
func (b *bench) makeImages(ctx context.Context) error {
	for n, s := range b.Sizes {
		raw, file := filepath.Join(b.Dir, "raw"), filepath.Join(b.Dir, fmt.Sprintf("image%d.qcow2", n))
		if err := writeSparse(raw, s.Virtual<<20, s.Data<<20); err != nil {
			return err
		}
		out, err := exec.CommandContext(ctx, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, file).CombinedOutput()
		if err != nil {
			return fmt.Errorf("make image: %w: %s", err, out)
		}
		r, err := b.images.Add(filepath.Base(file), "qcow2", file, "bench")
		if err != nil {
			return err
		}
		b.ids, b.files = append(b.ids, r.ID()), append(b.files, file)
		if err := os.Remove(raw); err != nil {
			return err
		}
	}
	return nil
}

// writeSparse makes a file with pieces of data at equal distances.
func writeSparse(path string, size, data int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	const piece = 1 << 20
	block := make([]byte, piece)
	seed := uint64(data)
	for off := int64(0); off < size; off += piece * (size / data) {
		for i := range block {
			seed = seed*6364136223846793005 + 1442695040888963407
			block[i] = byte(seed >> 56)
		}
		if _, err := f.WriteAt(block, off); err != nil {
			return err
		}
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Close()
}

// node measures one node: each image cold in a fresh directory, the first one then cached.
func (b *bench) node(ctx context.Context, name string, command []string) (Node, error) {
	var r Node
	for n, id := range b.ids {
		dir := filepath.Join(b.Dir, name, strconv.Itoa(n))
		cold, written, err := b.run(ctx, command, dir, id, 1)
		if err != nil {
			return r, err
		}
		r.Peaks = append(r.Peaks, cold.Peak)
		if n == 0 {
			r.Cold, r.Written = seconds(cold.Boots[0]), written
			cached, _, err := b.run(ctx, command, dir, id, b.Boots)
			if err != nil {
				return r, err
			}
			for _, s := range cached.Boots {
				r.Cached = append(r.Cached, seconds(s))
			}
			slices.Sort(r.Cached)
		}
		if err := os.RemoveAll(dir); err != nil {
			return r, err
		}
	}
	return r, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// run starts a process and returns what it tells and how many bytes it and its children wrote.
func (b *bench) run(ctx context.Context, command []string, dir, id string, boots int) (answer, int64, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return answer{}, 0, err
	}
	syscall.Sync() // what came before is not to be paid for now
	args := append(slices.Clone(command[1:]), b.glance, dir, id, strconv.FormatInt(20<<30, 10), strconv.Itoa(boots))
	cmd := exec.CommandContext(ctx, command[0], args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return answer{}, 0, err
	}
	var a answer
	if err := json.Unmarshal(out, &a); err != nil {
		return a, 0, fmt.Errorf("answer %q: %w", out, err)
	}
	if len(a.Boots) != boots {
		return a, 0, fmt.Errorf("%d boots of %d", len(a.Boots), boots)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return a, 0, fmt.Errorf("the kernel keeps no account")
	}
	return a, usage.Oublock * 512, nil
}

// conversion times what the node does to make the image raw beside cp of the same data, turn by turn.
func (b *bench) conversion(ctx context.Context) (convert, cp time.Duration, err error) {
	raw, again := filepath.Join(b.Dir, "converted"), filepath.Join(b.Dir, "copied")
	for range b.Rounds {
		if err := warm(b.files[0]); err != nil {
			return 0, 0, err
		}
		syscall.Sync()
		cmd := exec.CommandContext(ctx, b.Step[0], append(slices.Clone(b.Step[1:]), "convert", b.files[0], raw)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return 0, 0, err
		}
		var a answer
		if err := json.Unmarshal(out, &a); err != nil {
			return 0, 0, err
		}
		convert = quickest(convert, seconds(a.Boots[0]))
		if err := warm(raw); err != nil { // as the image is
			return 0, 0, err
		}
		syscall.Sync()
		start := time.Now()
		out, err = exec.CommandContext(ctx, "sh", "-c", `cp --sparse=auto "$1" "$2" && sync "$2"`, "sh", raw, again).CombinedOutput()
		if err != nil {
			return 0, 0, fmt.Errorf("cp: %w: %s", err, out)
		}
		cp = quickest(cp, time.Since(start))
		if err := errors.Join(os.Remove(raw), os.Remove(again)); err != nil { // neither is to pay for what was there before
			return 0, 0, err
		}
	}
	return convert, cp, nil
}

// warm brings a file into the page cache.
func warm(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

func quickest(best, d time.Duration) time.Duration {
	if best == 0 {
		return d
	}
	return min(best, d)
}
