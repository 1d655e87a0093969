package rpc

import "time"

const (
	// missingTTL is how long a reply queue that did not come back is believed
	// to be gone; replies to it are dropped at once meanwhile.
	missingTTL = time.Minute
	// missingMax bounds how many of them are remembered.
	missingMax = 200
)

// missingQueues remembers until when queues are believed to be gone. Without
// it, every reply to a caller that died would be tried for a minute.
type missingQueues map[string]time.Time

func (m missingQueues) has(queue string) bool {
	until, found := m[queue]
	if found && time.Now().After(until) {
		delete(m, queue)
		return false
	}
	return found
}

func (m missingQueues) add(queue string) {
	now := time.Now()
	for q, until := range m {
		if now.After(until) || len(m) >= missingMax {
			delete(m, q)
		}
	}
	m[queue] = now.Add(missingTTL)
}
