package cloud

import (
	"fmt"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// Auth are credentials for Keystone v3, with the names of the options in a
// section of nova.conf. It is comparable: equal credentials share one token.
type Auth struct {
	// AuthType is password (default), v3password, token, v3token or
	// v3applicationcredential.
	AuthType string
	// AuthURL is Keystone's address, with or without /v3.
	AuthURL string

	Username, UserID             string
	Password                     string
	UserDomainName, UserDomainID string
	ProjectName, ProjectID       string
	ProjectDomainName            string
	ProjectDomainID              string
	DomainName, DomainID         string
	DefaultDomainName            string
	DefaultDomainID              string
	TrustID                      string
	SystemScope                  string
	ApplicationCredentialID      string
	ApplicationCredentialName    string
	ApplicationCredentialSecret  string
	Token                        string
	CAFile, CertFile, KeyFile    string
	Insecure                     bool
	// Timeout bounds one request to Keystone. Default 60 seconds.
	Timeout time.Duration
}

var authTypes = []string{"", "password", "v3password", "token", "v3token", "v3applicationcredential"}

func (a Auth) empty() bool { return a.AuthURL == "" && a.AuthType == "" }

// options turns the section into gophercloud's request. A name in Keystone is
// unique within a domain only, so names take their domain along.
func (a Auth) options() (*tokens.AuthOptions, error) {
	if a.AuthURL == "" {
		return nil, fmt.Errorf("auth_url is not set")
	}
	if !slices.Contains(authTypes, a.AuthType) {
		return nil, fmt.Errorf("auth_type %q is not supported, use one of %v", a.AuthType, authTypes[1:])
	}
	o := &tokens.AuthOptions{IdentityEndpoint: a.AuthURL, Scope: a.scope()}
	switch a.AuthType {
	case "token", "v3token":
		o.TokenID = a.Token
		return o, nil
	case "v3applicationcredential":
		o.ApplicationCredentialID = a.ApplicationCredentialID
		o.ApplicationCredentialName = a.ApplicationCredentialName
		o.ApplicationCredentialSecret = a.ApplicationCredentialSecret
		o.Scope = tokens.Scope{} // the credential carries its project
	default:
		o.Password = a.Password
	}
	o.UserID = a.UserID
	if o.UserID == "" && a.Username != "" {
		o.Username = a.Username
		o.DomainID, o.DomainName = domain(a.UserDomainID, a.UserDomainName, a.DefaultDomainID, a.DefaultDomainName)
	}
	return o, nil
}

func (a Auth) scope() tokens.Scope {
	switch {
	case a.TrustID != "":
		return tokens.Scope{TrustID: a.TrustID}
	case a.SystemScope != "":
		return tokens.Scope{System: true}
	case a.ProjectID != "":
		return tokens.Scope{ProjectID: a.ProjectID}
	case a.ProjectName != "":
		s := tokens.Scope{ProjectName: a.ProjectName}
		s.DomainID, s.DomainName = domain(a.ProjectDomainID, a.ProjectDomainName, a.DefaultDomainID, a.DefaultDomainName)
		return s
	}
	return tokens.Scope{DomainID: a.DomainID, DomainName: a.DomainName}
}

// domain prefers the specific domain to the default one, and an id to a name:
// Keystone takes only one of the two.
func domain(id, name, defaultID, defaultName string) (string, string) {
	if id == "" && name == "" {
		id, name = defaultID, defaultName
	}
	if id != "" {
		return id, ""
	}
	return "", name
}
