package rpc

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkPing measures round trips through the broker, client and server in
// this process, with 1 and with 32 in flight.
func BenchmarkPing(b *testing.B) {
	for _, inFlight := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			n := run(b, nil)
			n.Serve("compute").Start()
			n.up(b)
			target := Target{Topic: "compute", Server: n.o.Host, Namespace: "baseapi", Version: "1.0"}
			var mu sync.Mutex
			var took []time.Duration
			var wg sync.WaitGroup
			left := make(chan struct{}, b.N)
			for range b.N {
				left <- struct{}{}
			}
			close(left)
			b.ResetTimer()
			for range inFlight {
				wg.Go(func() {
					for range left {
						began := time.Now()
						if _, err := n.Call(context.Background(), nil, target, "ping", map[string]any{"arg": "x"}); err != nil {
							b.Error(err)
							return
						}
						mu.Lock()
						took = append(took, time.Since(began))
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			if len(took) == 0 {
				return
			}
			slices.Sort(took)
			b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "calls/s")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkReadRequest decodes a recorded cast, context and all.
func BenchmarkReadRequest(b *testing.B) {
	body := recorded(b, "cast").body(b)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		inner, err := openEnvelope(body)
		if err != nil {
			b.Fatal(err)
		}
		r, err := decodeRequest(inner)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.decodeContext(); err != nil {
			b.Fatal(err)
		}
	}
}
