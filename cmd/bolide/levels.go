package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"

	"bolide/agent/status"
)

// levels are how much each room of the node logs. The logger lets through what the
// most talkative one says; formatting drops what the others' levels do not let.
// Safe for concurrent use.
type levels struct {
	log   *logrus.Logger
	rooms []string

	mu   sync.RWMutex
	all  logrus.Level
	room map[string]logrus.Level // where it is not all
}

var _ status.Levels = (*levels)(nil)

// newLevels gives a logger levels by room.
func newLevels(log *logrus.Logger, rooms []string) *levels {
	l := &levels{log: log, rooms: rooms, all: log.GetLevel(), room: map[string]logrus.Level{}}
	log.SetFormatter(&levelled{log.Formatter, l})
	return l
}

// Rooms implements [status.Levels].
func (l *levels) Rooms() []string { return slices.Clone(l.rooms) }

// Level implements [status.Levels].
func (l *levels) Level(room string) logrus.Level {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if level, ok := l.room[room]; ok {
		return level
	}
	return l.all
}

// SetLevel implements [status.Levels].
func (l *levels) SetLevel(room string, level logrus.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if room == "" {
		l.all = level
		clear(l.room)
	} else {
		l.room[room] = level
	}
	most := l.all
	for v := range maps.Values(l.room) {
		most = max(most, v)
	}
	l.log.SetLevel(most)
}

// levelled formats what its room's level lets through, and nothing else.
type levelled struct {
	logrus.Formatter
	levels *levels
}

// Format implements [logrus.Formatter].
func (f *levelled) Format(e *logrus.Entry) ([]byte, error) {
	room, _ := e.Data[fieldPart].(string)
	if e.Level > f.levels.Level(room) {
		return nil, nil
	}
	return f.Formatter.Format(e)
}
