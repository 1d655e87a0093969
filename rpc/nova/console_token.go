package nova

// ConsoleAuthToken is a view of the permission to open one console.
type ConsoleAuthToken struct{ *Object }

// Token is the secret itself; never log it.
func (t ConsoleAuthToken) Token() string        { return t.Str("token") }
func (t ConsoleAuthToken) InstanceUUID() string { return t.Str("instance_uuid") }

// AccessURL is what the user's browser opens: the base URL with the token added.
func (t ConsoleAuthToken) AccessURL() string {
	base := t.Str("access_url_base")
	if t.Str("console_type") == "novnc" {
		return base + "?path=%3Ftoken%3D" + t.Token()
	}
	return base + "?token=" + t.Token()
}
