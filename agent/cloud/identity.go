package cloud

// Identity is whose name a call is made in, taken from the context of the
// request that led to it. The zero value is the node itself.
type Identity struct {
	// Token is the user's Keystone token. Empty means the node's own
	// credentials of the service called.
	Token string
	// UserID and ProjectID belong to Token.
	UserID, ProjectID string
	// RequestID ("req-<uuid>") names the request inside this service.
	RequestID string
	// GlobalRequestID names it across services; it may be empty.
	GlobalRequestID string
}

// Node is the same request made with the node's own credentials, for what only
// an administrator may do, such as binding a port to a host.
func (id Identity) Node() Identity {
	id.Token = ""
	return id
}

// header is the request id passed on to the service, so that its log can be
// joined with ours.
func (id Identity) header() string {
	if id.GlobalRequestID != "" {
		return id.GlobalRequestID
	}
	return id.RequestID
}
