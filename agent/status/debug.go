package status

import (
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// profileLimit bounds how long a CPU profile may be taken.
const profileLimit = time.Minute

func (s *Server) getGoroutines(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_ = pprof.Lookup("goroutine").WriteTo(w, 2) // fails only when the client is gone
}

// getProfile answers with a profile for "go tool pprof": of the memory in use, or
// of the CPU's time for as long as asked.
func (s *Server) getProfile(w http.ResponseWriter, r *http.Request) {
	const binary = "application/octet-stream"
	switch kind := r.PathValue("kind"); kind {
	case "heap", "allocs", "block", "mutex", "threadcreate":
		w.Header().Set("Content-Type", binary)
		_ = pprof.Lookup(kind).WriteTo(w, 0) // fails only when the client is gone
	case "cpu":
		seconds, err := strconv.ParseFloat(r.FormValue("seconds"), 64)
		span := time.Duration(seconds * float64(time.Second))
		if err != nil || span <= 0 || span > profileLimit {
			problem(w, http.StatusBadRequest, "seconds: a number above 0 and up to "+strconv.Itoa(int(profileLimit.Seconds())))
			return
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(span + s.opts.RequestTimeout)); err != nil {
			return
		}
		w.Header().Set("Content-Type", binary)
		if err := pprof.StartCPUProfile(w); err != nil {
			problem(w, http.StatusConflict, err.Error())
			return
		}
		defer pprof.StopCPUProfile()
		wait := time.NewTimer(span)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
		}
	default:
		problem(w, http.StatusNotFound, "no profile "+kind)
	}
}
