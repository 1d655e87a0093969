package imagecache

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
)

// Image properties that carry a signature, as the image service names them.
const (
	propSignature   = "img_signature"
	propHash        = "img_signature_hash_method"
	propKeyType     = "img_signature_key_type"
	propCertificate = "img_signature_certificate_uuid"
)

// Signatures checks the signature that an image carries in its properties, as [glance] verify_glance_signatures asks.
type Signatures struct {
	// Certificate fetches a certificate from the key manager. Required. Called concurrently.
	Certificate func(ctx context.Context, id string) (*x509.Certificate, error)
	// Trusted are the IDs of the certificates one of which must vouch for the signing one: those that the user named,
	// or [glance] default_trusted_certificate_ids. None asks for none.
	Trusted []string
}

// verifier checks the signature over all bytes written to it. The zero verifier accepts anything.
type verifier struct {
	hash      hash.Hash
	method    crypto.Hash
	key       crypto.PublicKey
	signature []byte
}

// verifier returns what checks an image. With signatures asked for, an image without one is unacceptable.
func (s *Signatures) verifier(ctx context.Context, img Image) (*verifier, error) {
	if s == nil {
		return &verifier{}, nil
	}
	v, err := s.newVerifier(ctx, img.Properties)
	if err != nil && ctx.Err() == nil {
		return nil, &ErrUnacceptable{Image: img.ID, Reason: "signature: " + err.Error(), Err: err}
	}
	return v, err
}

func (s *Signatures) newVerifier(ctx context.Context, props map[string]string) (*verifier, error) {
	for _, p := range []string{propSignature, propHash, propKeyType, propCertificate} {
		if props[p] == "" {
			return nil, fmt.Errorf("property %s is missing", p)
		}
	}
	methods := map[string]crypto.Hash{
		"SHA-224": crypto.SHA224, "SHA-256": crypto.SHA256, "SHA-384": crypto.SHA384, "SHA-512": crypto.SHA512,
	}
	method, ok := methods[props[propHash]]
	if !ok {
		return nil, fmt.Errorf("hash method %q is not supported", props[propHash])
	}
	signature, err := base64.StdEncoding.DecodeString(props[propSignature])
	if err != nil {
		return nil, fmt.Errorf("signature is not base64: %w", err)
	}
	cert, err := s.Certificate(ctx, props[propCertificate])
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", props[propCertificate], err)
	}
	if err := s.vouch(ctx, cert); err != nil {
		return nil, fmt.Errorf("certificate %s is not trusted: %w", props[propCertificate], err)
	}
	if err := checkKey(props[propKeyType], cert.PublicKey); err != nil {
		return nil, err
	}
	return &verifier{hash: method.New(), method: method, key: cert.PublicKey, signature: signature}, nil
}

// vouch makes sure that a trusted certificate stands behind the signing one. A trusted one that cannot be fetched vouches
// for nothing.
func (s *Signatures) vouch(ctx context.Context, cert *x509.Certificate) error {
	if len(s.Trusted) == 0 {
		return nil
	}
	roots := x509.NewCertPool()
	var missing []error
	for _, id := range s.Trusted {
		c, err := s.Certificate(ctx, id)
		if err != nil {
			missing = append(missing, fmt.Errorf("trusted certificate %s: %w", id, err))
			continue
		}
		roots.AddCert(c)
	}
	any := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: any}); err != nil {
		return errors.Join(append(missing, err)...)
	}
	return nil
}

// checkKey makes sure that the certificate's key is of the stated type. Elliptic curves below 384 bits were never
// accepted for images; DSA and binary curves have no implementation here.
func checkKey(stated string, key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if stated == "RSA-PSS" {
			return nil
		}
	case *ecdsa.PublicKey:
		names := map[string]string{"P-384": "ECC_SECP384R1", "P-521": "ECC_SECP521R1"}
		if name := names[k.Curve.Params().Name]; name != "" && stated == name {
			return nil
		}
	}
	return fmt.Errorf("key type %q is not supported or not the certificate's", stated)
}

func (v *verifier) Write(p []byte) (int, error) {
	if v.hash == nil {
		return len(p), nil
	}
	return v.hash.Write(p)
}

func (v *verifier) verify(image string) error {
	if v.hash == nil {
		return nil
	}
	digest := v.hash.Sum(nil)
	var err error
	switch key := v.key.(type) {
	case *rsa.PublicKey:
		err = rsa.VerifyPSS(key, v.method, digest, v.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, digest, v.signature) {
			err = errors.New("it does not match")
		}
	}
	if err != nil {
		return &ErrUnacceptable{Image: image, Reason: "signature: " + err.Error(), Err: err}
	}
	return nil
}
