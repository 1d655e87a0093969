package rpc

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// transportURL is a parsed transport_url.
type transportURL struct {
	hosts []brokerHost
	vhost string
	query map[string]string
}

// brokerHost is one broker of a cluster and the account to use there.
type brokerHost struct {
	host, port     string
	user, password string
}

// addr is HOST:PORT, with brackets around an IPv6 address.
func (h brokerHost) addr() string { return net.JoinHostPort(h.host, h.port) }

// parseTransportURL reads a transport_url as oslo.messaging does: hosts are
// separated by commas, each with its own account; what is missing is
// guest:guest@localhost:5672 and the virtual host "/".
func parseTransportURL(s string) (*transportURL, error) {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return nil, fmt.Errorf("transport_url: no scheme, want rabbit://USER:PASSWORD@HOST:PORT/")
	}
	switch strings.ToLower(scheme) {
	case "rabbit", "kombu+rabbit", "kombu+amqp":
	default:
		return nil, fmt.Errorf("transport_url: scheme %q is not supported, want rabbit", scheme)
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, rawQuery, _ := strings.Cut(rest, "?")
	netloc, path, _ := strings.Cut(rest, "/")

	u := &transportURL{vhost: unquote(path), query: map[string]string{}}
	if u.vhost == "" {
		u.vhost = "/"
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, fmt.Errorf("transport_url: query: %w", err)
	}
	for name, v := range values {
		u.query[name] = strings.Join(v, ",")
	}
	for part := range strings.SplitSeq(netloc, ",") {
		if part == "" {
			continue
		}
		h, err := parseBrokerHost(part)
		if err != nil {
			return nil, fmt.Errorf("transport_url: %w", err)
		}
		u.hosts = append(u.hosts, h)
	}
	if len(u.hosts) == 0 {
		u.hosts = []brokerHost{{host: "localhost", port: "5672", user: "guest", password: "guest"}}
	}
	return u, nil
}

// parseBrokerHost reads [USER[:PASSWORD]@]HOST[:PORT]. Its errors never quote
// the account.
func parseBrokerHost(s string) (brokerHost, error) {
	h := brokerHost{user: "guest", password: "guest", port: "5672"}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		user, password, _ := strings.Cut(s[:i], ":")
		h.user, h.password, s = unquote(user), unquote(password), s[i+1:]
	}
	var port string
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return h, fmt.Errorf("host %q: no closing bracket", s)
		}
		h.host = s[1:end]
		_, port, _ = strings.Cut(s[end+1:], ":")
	} else {
		h.host, port, _ = strings.Cut(s, ":")
	}
	if h.host == "" {
		h.host = "localhost"
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return h, fmt.Errorf("host %q: port %q is not a port number", h.host, port)
		}
		h.port = strconv.FormatUint(n, 10)
	}
	return h, nil
}

// unquote decodes %XX and, like Python, leaves alone what is no such code.
func unquote(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out.WriteByte(byte(b))
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
