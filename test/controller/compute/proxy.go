package compute

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"bolide/rpc"
	"bolide/rpc/nova"
	"bolide/test/controller/cell"
	"bolide/test/controller/conductor"
)

// dialLimit bounds the wait for a guest's console.
const dialLimit = 5 * time.Second

// ConsoleProxy carries WebSockets to the consoles of guests, for those who have
// a token: what nova-novncproxy does.
func (s *Service) ConsoleProxy() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /websockify", func(w http.ResponseWriter, r *http.Request) {
		address, err := s.consoleOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		guest, err := net.DialTimeout("tcp", address, dialLimit)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer guest.Close()
		user, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}, InsecureSkipVerify: true})
		if err != nil {
			return // Accept has answered
		}
		carry(websocket.NetConn(r.Context(), user, websocket.MessageBinary), guest)
	})
	return mux
}

// carry copies both ways until one side ends.
func carry(a, b net.Conn) {
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(way[0], way[1]) // how it ends does not matter
			ended <- struct{}{}
		}()
	}
	<-ended
	_ = a.Close()
	_ = b.Close()
	<-ended
}

// consoleOf finds the console that the request's token opens, and asks the node
// whether it is still the guest's.
func (s *Service) consoleOf(r *http.Request) (string, error) {
	token := r.URL.Query().Get("token")
	if path, err := url.Parse(r.URL.Query().Get("path")); token == "" && err == nil {
		token = path.Query().Get("token")
	}
	rc := rpc.AdminContext()
	var console, inst *nova.Object
	err := s.o.DB.View(rc, func(tx *cell.Tx) (err error) {
		if console, err = tx.Token(conductor.TokenHash(token)); err != nil || console == nil {
			return err
		}
		inst, err = tx.Instance(console.Str("instance_uuid"), basics...)
		return err
	})
	if err != nil {
		return "", err
	}
	if console == nil {
		return "", fmt.Errorf("the token is invalid or has expired")
	}
	raw, err := s.o.Caller.Call(r.Context(), rc, node(inst.Str("host")), "validate_console_port", map[string]any{
		"instance": inst, "port": console.Int("port"), "console_type": console.Str("console_type"),
	})
	if err != nil {
		return "", err
	}
	var valid bool
	if err := json.Unmarshal(raw, &valid); err != nil || !valid {
		return "", fmt.Errorf("the guest has another console now")
	}
	return net.JoinHostPort(console.Str("host"), strconv.FormatInt(console.Int("port"), 10)), nil
}
