package network

import (
	"encoding/json"
	"net/http"
	"net/netip"

	"bolide/test/controller/store"
	"bolide/test/controller/web"
)

// fixedIP is an address of a port.
type fixedIP struct {
	SubnetID  string `json:"subnet_id"`
	IPAddress string `json:"ip_address"`
}

// addresses chooses the addresses of a port: those asked for, or one of each
// version that the network has a subnet for.
func addresses(tx *store.Tx, portID, networkID string, wanted []fixedIP, asked bool) ([]fixedIP, error) {
	below, err := store.All(tx, subnets.path, func(r record) bool { return r.text("network_id") == networkID })
	if err != nil {
		return nil, err
	}
	if !asked {
		have := map[any]bool{}
		for _, r := range below {
			if !have[r["ip_version"]] {
				have[r["ip_version"]] = true
				wanted = append(wanted, fixedIP{SubnetID: r.text("id")})
			}
		}
	}
	taken, err := takenAddresses(tx, portID)
	if err != nil {
		return nil, err
	}
	chosen := []fixedIP{}
	for _, w := range wanted {
		ip, err := choose(below, w, taken)
		if err != nil {
			return nil, err
		}
		taken[ip] = true
		chosen = append(chosen, ip)
	}
	return chosen, nil
}

// takenAddresses are those of all ports but one.
func takenAddresses(tx *store.Tx, except string) (map[fixedIP]bool, error) {
	all, err := store.All(tx, ports.path, func(p record) bool { return p.text("id") != except })
	taken := map[fixedIP]bool{}
	for _, p := range all {
		for _, ip := range fixedIPs(p) {
			taken[ip] = true
		}
	}
	return taken, err
}

func choose(below []record, w fixedIP, taken map[fixedIP]bool) (fixedIP, error) {
	for _, r := range below {
		cidr, err := netip.ParsePrefix(r.text("cidr"))
		if err != nil || w.SubnetID != "" && w.SubnetID != r.text("id") {
			continue
		}
		ip := fixedIP{SubnetID: r.text("id"), IPAddress: w.IPAddress}
		if w.IPAddress != "" {
			a, err := netip.ParseAddr(w.IPAddress)
			if err != nil || !cidr.Contains(a) {
				continue
			}
			if taken[ip] {
				return ip, web.Refuse(http.StatusConflict, "IpAddressAlreadyAllocated", "IP address %s already allocated in subnet %s", w.IPAddress, ip.SubnetID)
			}
			return ip, nil
		}
		end := last(cidr)
		for a := cidr.Masked().Addr().Next(); a.Compare(end) <= 0; a = a.Next() {
			ip.IPAddress = a.String()
			if !taken[ip] && ip.IPAddress != r.text("gateway_ip") {
				return ip, nil
			}
		}
		return ip, web.Refuse(http.StatusConflict, "IpAddressGenerationFailure", "No more IP addresses available on network %s.", r.text("network_id"))
	}
	return fixedIP{}, web.Refuse(http.StatusBadRequest, "InvalidIpForNetwork", "IP address %s is not a valid IP for any of the subnets on the specified network.", w.IPAddress)
}

// fixedIPs reads the addresses of a port's record.
func fixedIPs(p record) []fixedIP {
	raw, err := json.Marshal(p["fixed_ips"])
	if err != nil {
		return nil
	}
	var ips []fixedIP
	if json.Unmarshal(raw, &ips) != nil {
		return nil
	}
	return ips
}
