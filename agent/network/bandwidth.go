package network

import (
	"encoding/json"
	"fmt"

	"bolide/agent/cloud"
)

// resourceRequest is what a port with guaranteed bandwidth asks of Placement:
// as groups where Neutron has that extension, else as one request.
type resourceRequest struct {
	Groups []struct {
		ID        string         `json:"id"`
		Resources map[string]int `json:"resources"`
	} `json:"request_groups"`
	Resources map[string]int `json:"resources"`
}

func readResourceRequest(p *cloud.Port) resourceRequest {
	var r resourceRequest
	if len(p.ResourceRequest) > 0 {
		_ = json.Unmarshal(p.ResourceRequest, &r) // another form is no request we know
	}
	return r
}

func hasResourceRequest(ext cloud.Extensions, p *cloud.Port) bool {
	r := readResourceRequest(p)
	if ext.Has(cloud.ExtResourceGroups) {
		return len(r.Groups) > 0
	}
	return len(r.Resources) > 0
}

// existingProfile is the binding profile of a port that existed before, with
// its bandwidth's provider added if it asks for bandwidth.
func existingProfile(ext cloud.Extensions, p *cloud.Port, mapping map[string][]string) (Dict, error) {
	profile, err := ParseDict(p.Profile)
	if err != nil {
		return profile, &Error{Class: PortUpdateFailed, Args: Args{"port_id": p.ID, "reason": "binding profile: " + err.Error()}}
	}
	if hasResourceRequest(ext, p) {
		err = setAllocation(&profile, ext, p, mapping)
	}
	return profile, err
}

// setAllocation tells Neutron, in the binding profile, which resource provider
// gives the bandwidth.
func setAllocation(profile *Dict, ext cloud.Extensions, p *cloud.Port, mapping map[string][]string) error {
	provider := func(requester string) (string, error) {
		if len(mapping[requester]) == 0 {
			return "", &Error{Class: PortUpdateFailed, Args: Args{
				"port_id": p.ID, "reason": fmt.Sprintf("no resource provider is known for its request %s", requester),
			}}
		}
		// A port's request is a numbered group, which one provider fulfils.
		return mapping[requester][0], nil
	}
	if !ext.Has(cloud.ExtResourceGroups) {
		one, err := provider(p.ID)
		if err != nil {
			return err
		}
		return profile.Set("allocation", one)
	}
	chosen := map[string]string{}
	for _, group := range readResourceRequest(p).Groups {
		one, err := provider(group.ID)
		if err != nil {
			return err
		}
		chosen[group.ID] = one
	}
	return profile.Set("allocation", chosen)
}

// portAllocation is what a port takes of each resource provider.
func portAllocation(ext cloud.Extensions, p *cloud.Port) map[string]cloud.Resources {
	profile, err := ParseDict(p.Profile)
	if err != nil || !profile.Has("allocation") {
		return nil
	}
	r := readResourceRequest(p)
	taken := map[string]cloud.Resources{}
	if !ext.Has(cloud.ExtResourceGroups) {
		if one := profile.Str("allocation"); one != "" && len(r.Resources) > 0 {
			taken[one] = r.Resources
		}
		return taken
	}
	var chosen map[string]string
	if profile.Decode("allocation", &chosen) != nil {
		return nil
	}
	for _, group := range r.Groups {
		if one := chosen[group.ID]; one != "" {
			taken[one] = group.Resources
		}
	}
	return taken
}
