package imagecache

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// checksum compares bytes with what the image service states of them. Without a statement it accepts anything.
type checksum struct {
	algo, want string
	hash       hash.Hash // nil when nothing is stated
}

// newChecksum takes the image's os_hash_value, and its md5 only when that is all there is. A hash that is stated but
// cannot be computed is an error: passing over it would make the check optional for whoever wrote it.
func newChecksum(img Image) (*checksum, error) {
	switch {
	case img.HashValue != "":
		h := newHash(img.HashAlgo)
		if h == nil {
			return nil, &ErrUnacceptable{Image: img.ID, Reason: fmt.Sprintf("its hash algorithm %q is not known", img.HashAlgo)}
		}
		return &checksum{algo: strings.ToLower(img.HashAlgo), want: strings.ToLower(img.HashValue), hash: h}, nil
	case img.MD5 != "":
		return &checksum{algo: "md5", want: strings.ToLower(img.MD5), hash: md5.New()}, nil
	}
	return &checksum{}, nil
}

// newHash returns the hash of Python's hashlib by that name, as [DEFAULT] hashing_algorithm of Glance takes it.
func newHash(algo string) hash.Hash {
	switch strings.ToLower(algo) {
	case "sha512":
		return sha512.New()
	case "sha384":
		return sha512.New384()
	case "sha256":
		return sha256.New()
	case "sha224":
		return sha256.New224()
	case "sha1":
		return sha1.New()
	case "md5":
		return md5.New()
	}
	return nil
}

func (s *checksum) known() bool { return s.hash != nil }

func (s *checksum) Write(p []byte) (int, error) {
	if s.hash == nil {
		return len(p), nil
	}
	return s.hash.Write(p)
}

func (s *checksum) verify(image string) error {
	if s.hash == nil {
		return nil
	}
	if got := hex.EncodeToString(s.hash.Sum(nil)); got != s.want {
		return &ErrChecksum{Image: image, Algo: s.algo, Want: s.want, Got: got}
	}
	return nil
}
