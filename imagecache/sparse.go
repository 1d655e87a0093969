package imagecache

import (
	"bytes"
	"os"
)

// sparseBlock is the unit in which zeros become holes.
const sparseBlock = 64 << 10

var zeros [sparseBlock]byte

// sparseWriter appends to a file whose end is at off, leaving blocks of zeros out. finish gives the file its length.
type sparseWriter struct {
	file *os.File
	off  int64
}

// Write writes the stretches of p that are not zeros, each in one call.
func (w *sparseWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := stretch(p, w.off)
		if !isZero(p[:min(n, sparseBlock)]) {
			if _, err := w.file.WriteAt(p[:n], w.off); err != nil {
				return written, err
			}
		}
		w.off += int64(n)
		written += n
		p = p[n:]
	}
	return written, nil
}

// stretch returns how many bytes at the start of p, which lies at off, are blocks of the same kind: either one block
// of zeros or any number of blocks with data.
func stretch(p []byte, off int64) int {
	n := min(len(p), sparseBlock-int(off%sparseBlock))
	if isZero(p[:n]) {
		return n
	}
	for n < len(p) {
		next := min(len(p)-n, sparseBlock)
		if isZero(p[n : n+next]) {
			break
		}
		n += next
	}
	return n
}

// finish sets the length, which a hole at the end leaves short.
func (w *sparseWriter) finish() error { return w.file.Truncate(w.off) }

func isZero(p []byte) bool { return bytes.Equal(p, zeros[:len(p)]) }
