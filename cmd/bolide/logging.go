package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"bolide/agent/config"
)

// newLogger makes the daemon's log as [DEFAULT] says: a file or standard error,
// text or JSON, at info or debug level. reopen makes it write to a new file
// after the old one was moved away.
func newLogger(c *config.Logging, stderr io.Writer) (log *logrus.Logger, reopen func() error, err error) {
	log = logrus.New()
	log.SetOutput(stderr)
	log.SetFormatter(&textFormatter{pid: os.Getpid()})
	if c.UseJSON {
		log.SetFormatter(&jsonFormatter{logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano}})
	}
	log.SetLevel(levelOf(c))
	path := logFile(c)
	if path == "" {
		return log, func() error { return nil }, nil
	}
	f := &logFileWriter{path: path}
	if err := f.reopen(); err != nil {
		return nil, nil, fmt.Errorf("log file: %w", err)
	}
	log.SetOutput(f)
	if c.UseStderr {
		log.SetOutput(io.MultiWriter(f, stderr))
	}
	return log, f.reopen, nil
}

func levelOf(c *config.Logging) logrus.Level {
	if c.Debug {
		return logrus.DebugLevel
	}
	return logrus.InfoLevel
}

// logFile is where to log; "" = standard error. log_dir alone names the file
// after the program, and stands before a log_file that is no absolute path.
func logFile(c *config.Logging) string {
	switch {
	case c.LogDir == "" || filepath.IsAbs(c.LogFile):
		return c.LogFile
	case c.LogFile == "":
		return filepath.Join(c.LogDir, "bolide.log")
	}
	return filepath.Join(c.LogDir, c.LogFile)
}

// logFileWriter appends to a file that may be opened anew at any time.
type logFileWriter struct {
	path string

	mu sync.Mutex
	f  *os.File
}

func (w *logFileWriter) reopen() error {
	f, err := os.OpenFile(w.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	w.mu.Lock()
	old := w.f
	w.f = f
	w.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// Write implements io.Writer.
func (w *logFileWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.f.Write(p)
}

// jsonFormatter writes one JSON object a line, with times in UTC.
type jsonFormatter struct{ logrus.JSONFormatter }

// Format implements logrus.Formatter.
func (f *jsonFormatter) Format(e *logrus.Entry) ([]byte, error) {
	utc := *e
	utc.Time = e.Time.UTC()
	return f.JSONFormatter.Format(&utc)
}

// textFormatter writes lines that tools for OpenStack's logs understand, with
// times in UTC:
//
//	2026-11-21 16:19:30.323 4242 INFO bolide.amqp [req-…] [instance: …] message key=value
type textFormatter struct{ pid int }

// levelNames are oslo.log's.
var levelNames = map[logrus.Level]string{
	logrus.PanicLevel: "CRITICAL", logrus.FatalLevel: "CRITICAL", logrus.ErrorLevel: "ERROR",
	logrus.WarnLevel: "WARNING", logrus.InfoLevel: "INFO", logrus.DebugLevel: "DEBUG", logrus.TraceLevel: "TRACE",
}

// Fields that have a place of their own in a line.
const (
	fieldPart     = "part"
	fieldRequest  = "request_id"
	fieldInstance = "instance"
)

// Format implements logrus.Formatter.
func (f *textFormatter) Format(e *logrus.Entry) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %d %s bolide", e.Time.UTC().Format("2006-01-02 15:04:05.000"), f.pid, levelNames[e.Level])
	if part, ok := e.Data[fieldPart]; ok {
		fmt.Fprintf(&b, ".%v", part)
	}
	request := "-"
	if r, ok := e.Data[fieldRequest]; ok {
		request = word(fmt.Sprint(r))
	}
	fmt.Fprintf(&b, " [%s] ", request)
	if i, ok := e.Data[fieldInstance]; ok {
		fmt.Fprintf(&b, "[instance: %s] ", word(fmt.Sprint(i)))
	}
	b.WriteString(oneLine(e.Message))
	for _, k := range slices.Sorted(maps.Keys(e.Data)) {
		if k != fieldPart && k != fieldRequest && k != fieldInstance && k != logrus.ErrorKey {
			fmt.Fprintf(&b, " %s=%s", k, word(fmt.Sprint(e.Data[k])))
		}
	}
	if err, ok := e.Data[logrus.ErrorKey]; ok { // last: it is the longest
		fmt.Fprintf(&b, ": %s", oneLine(fmt.Sprint(err)))
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// word quotes what would not be seen as one word.
func word(s string) string {
	if s == "" || strings.ContainsAny(s, " =\"'") || s != oneLine(s) {
		return strconv.Quote(s)
	}
	return s
}

// oneLine escapes what would break the line, or lead a terminal astray.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
