package rpc

import (
	"encoding/json"
	"fmt"
)

// reply is the inner message of an answer.
type reply struct {
	MsgID   string          `json:"_msg_id"`
	Result  json.RawMessage `json:"result"`
	Failure *string         `json:"failure"` // JSON text of a Failure
	// Ending is false in a sign of life, and in the first of the two messages
	// that releases long past sent.
	Ending bool `json:"ending"`
}

// empty says that the reply carries no answer.
func (r *reply) empty() bool {
	return r.Failure == nil && (len(r.Result) == 0 || string(r.Result) == "null")
}

// decodeReply reads an inner message.
func decodeReply(inner []byte) (*reply, error) {
	r := &reply{}
	if err := json.Unmarshal(inner, r); err != nil {
		return nil, fmt.Errorf("reply: %w", err)
	}
	return r, nil
}

// encodeResult builds an answer in its envelope.
func encodeResult(msgID string, result any) ([]byte, error) {
	out, err := appendJSON([]byte(`{"result": `), result)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	out = append(out, `, "failure": null, "ending": true`...)
	return endReply(out, msgID), nil
}

// encodeFailure builds the answer to a call that failed.
func encodeFailure(msgID string, f Failure) []byte {
	out := append([]byte(`{"result": null, "failure": `), appendQuoted(nil, f.encode())...)
	out = append(out, `, "ending": true`...)
	return endReply(out, msgID)
}

// encodeSignOfLife builds the message that tells a monitoring caller to go on waiting.
func encodeSignOfLife(msgID string) []byte {
	return endReply([]byte(`{"result": null, "failure": null, "ending": false`), msgID)
}

func endReply(out []byte, msgID string) []byte {
	quoted, _ := json.Marshal(msgID) // a string always has JSON
	out = append(append(out, `, "_msg_id": `...), quoted...)
	out = append(out, `, "_unique_id": "`+newHexID()+`"}`...)
	return sealEnvelope(out)
}
