package agent

import (
	"crypto/rand"
	chacha "math/rand/v2"
	"strings"
)

// passwordSymbols are the groups that a password has something of, without symbols that look like others.
var passwordSymbols = [...]string{"23456789", "ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz"}

// newPassword makes up a password of n symbols.
func newPassword(n int) string {
	var seed [32]byte
	rand.Read(seed[:]) // does not fail
	r := chacha.New(chacha.NewChaCha8(seed))
	all := strings.Join(passwordSymbols[:], "")
	var password []byte
	for _, group := range passwordSymbols {
		password = append(password, group[r.IntN(len(group))])
	}
	for len(password) < n {
		password = append(password, all[r.IntN(len(all))])
	}
	r.Shuffle(len(password), func(i, j int) { password[i], password[j] = password[j], password[i] })
	return string(password[:n])
}
