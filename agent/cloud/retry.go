package cloud

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// retryable tells whether and after how long a call may be made again. Only
// what surely had no effect, or has the same effect twice, may.
func retryable(r request, err error, failures int) (time.Duration, bool) {
	var e *Error
	var setup setupError
	if !errors.As(err, &e) || errors.As(err, &setup) {
		return 0, false
	}
	pause := backoff(failures)
	switch {
	case e.Service == keystone:
		return pause, e.Status == 0 || unavailable(e.Status) || e.Status == http.StatusTooManyRequests
	case r.body != nil:
		return pause, e.Status == 0 && notSent(e.Err)
	case e.Status == http.StatusTooManyRequests, e.Status == http.StatusServiceUnavailable:
		// Neither reached the service's own code.
		if after, err := strconv.Atoi(e.RetryAfter); err == nil && after >= 0 {
			pause = min(time.Duration(after)*time.Second, 30*time.Second)
		}
		return pause, true
	case e.Status == 0 && notSent(e.Err):
		return pause, true
	case e.Status == 0 || unavailable(e.Status):
		return pause, slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}, r.method)
	}
	return 0, false
}

// notSent is whether a transport error came before any byte left this node.
func notSent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns)
}

// backoff grows from half a second to eight, give or take a quarter, so that
// many nodes do not return at the same moment.
func backoff(failures int) time.Duration {
	d := 500 * time.Millisecond << min(failures-1, 4)
	return d + time.Duration((rand.Float64()-0.5)*float64(d)/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
