package status

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"bolide/agent/audit"
)

// auditLimit bounds an audit and what it mends.
const auditLimit = 2 * time.Minute

// audit answers what the audit found, and with POST what it mended.
func (s *Server) audit(w http.ResponseWriter, r *http.Request) {
	if s.opts.Audit == nil {
		problem(w, http.StatusNotImplemented, "this daemon audits nothing")
		return
	}
	var fix []audit.Kind
	if r.Method == http.MethodPost {
		for _, k := range r.URL.Query()["fix"] {
			fix = append(fix, audit.Kind(k))
		}
		if len(fix) == 0 {
			problem(w, http.StatusBadRequest, "the query names nothing to fix")
			return
		}
	}
	for _, k := range fix {
		if !slices.Contains(audit.Fixable, k) {
			problem(w, http.StatusBadRequest, fmt.Sprintf("differences of kind %q are not mended here", k))
			return
		}
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(auditLimit + s.opts.RequestTimeout)); err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), auditLimit)
	defer cancel()
	report, err := s.opts.Audit(ctx, fix)
	if err != nil {
		problem(w, http.StatusConflict, err.Error())
		return
	}
	report.Differences = notNil(report.Differences)
	reply(w, http.StatusOK, report)
}
