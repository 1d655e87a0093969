package status

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"
)

// Levels say how much each room of the node logs. Safe for concurrent use.
type Levels interface {
	Rooms() []string                // that have a level of their own
	Level(room string) logrus.Level // "" = of everything else
	// SetLevel sets a room's level; of "", that of everything.
	SetLevel(room string, level logrus.Level)
}

// LogLevel is what /v1/log-level answers.
type LogLevel struct {
	Level string            `json:"level"`
	Rooms map[string]string `json:"rooms"` // level by room
}

// LogChange is what PUT /v1/log-level takes.
type LogChange struct {
	Level string `json:"level"`
	Room  string `json:"room,omitempty"` // "" = all of them
}

// oneLevel is a logger without rooms.
type oneLevel struct{ log *logrus.Logger }

func (oneLevel) Rooms() []string                         { return nil }
func (l oneLevel) Level(string) logrus.Level             { return l.log.GetLevel() }
func (l oneLevel) SetLevel(_ string, level logrus.Level) { l.log.SetLevel(level) }

func (s *Server) logLevel() LogLevel {
	l := LogLevel{Level: s.opts.Levels.Level("").String(), Rooms: map[string]string{}}
	for _, room := range s.opts.Levels.Rooms() {
		l.Rooms[room] = s.opts.Levels.Level(room).String()
	}
	return l
}

func (s *Server) getLogLevel(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.logLevel())
}

func (s *Server) putLogLevel(w http.ResponseWriter, r *http.Request) {
	var body LogChange
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		problem(w, http.StatusBadRequest, "body: "+err.Error())
		return
	}
	level, err := logrus.ParseLevel(body.Level)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if rooms := s.opts.Levels.Rooms(); body.Room != "" && !slices.Contains(rooms, body.Room) {
		problem(w, http.StatusBadRequest, "no room "+body.Room+" logs here; there are "+strings.Join(rooms, ", "))
		return
	}
	s.opts.Levels.SetLevel(body.Room, level)
	s.opts.Log.WithFields(logrus.Fields{"log_level": level.String(), "room": body.Room}).Info("log level set on the status socket")
	reply(w, http.StatusOK, s.logLevel())
}
