package agent

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"bolide/agent/guest"
	"bolide/agent/network"
	"bolide/rpc"
	"bolide/rpc/nova"
)

// This file reads the arguments that several operations share.

// bdmArgument reads a list of block device mappings; a missing one is empty.
func (t *task) bdmArgument(name string) ([]*nova.BlockDeviceMapping, error) {
	list, err := t.listArgument(name)
	return nova.AsList[nova.BlockDeviceMapping](list), err
}

// listArgument reads a list object; null and missing are empty.
func (t *task) listArgument(name string) ([]*nova.Object, error) {
	raw, ok := t.req.Args[name]
	if !ok || string(raw) == "null" {
		return nil, nil
	}
	list, err := nova.DecodeList(raw)
	if err != nil {
		return nil, fmt.Errorf("argument %s: %w", name, err)
	}
	return list, nil
}

// requestedNetworks reads which ports and networks the user asked for.
func (t *task) requestedNetworks(name string) ([]network.Requested, error) {
	list, err := t.listArgument(name)
	if err != nil {
		return nil, err
	}
	out := make([]network.Requested, 0, len(list))
	for _, n := range nova.AsList[nova.NetworkRequest](list) {
		out = append(out, network.Requested{NetworkID: n.NetworkID(), PortID: n.PortID(), Address: n.Address(), Tag: n.Tag()})
	}
	return out, nil
}

// filesArgument reads the files that the user put into the guest: [[path, base64], …].
func (t *task) filesArgument(name string) ([]guest.InjectedFile, error) {
	raw, ok := t.req.Args[name]
	if !ok || string(raw) == "null" {
		return nil, nil
	}
	var pairs [][2]string
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, fmt.Errorf("argument %s: %w", name, err)
	}
	files := make([]guest.InjectedFile, 0, len(pairs))
	for _, p := range pairs {
		content, err := base64.StdEncoding.DecodeString(p[1])
		if err != nil {
			return nil, nova.NewError("Base64Exception", map[string]any{"path": p[0]}).Because(err)
		}
		files = append(files, guest.InjectedFile{Path: p[0], Content: content})
	}
	return files, nil
}

// roles are what the user who asked may do.
func roles(rc rpc.Context) []string {
	list, _ := rc["roles"].([]any)
	out := make([]string, 0, len(list))
	for _, r := range list {
		if name, ok := r.(string); ok {
			out = append(out, name)
		}
	}
	return out
}
