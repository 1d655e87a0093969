package nova

import (
	"context"
	"time"
)

// AuthorizeConsole stores a permission to open a console for the time given
// and returns the token that goes with it, which is also set in t.
func (c *Conductor) AuthorizeConsole(ctx context.Context, t *ConsoleAuthToken, ttl time.Duration) (string, error) {
	raw, err := c.Action(ctx, t.Object, "authorize", []any{int(ttl.Seconds())}, nil)
	if err != nil {
		return "", err
	}
	return decodeText(raw)
}

// CleanConsoleAuths takes back all permissions for an instance.
func (c *Conductor) CleanConsoleAuths(ctx context.Context, instanceUUID string) error {
	_, err := c.Class(ctx, "ConsoleAuthToken", "clean_console_auths_for_instance", []any{instanceUUID}, nil)
	return err
}

// CleanExpiredConsoleAuths removes the permissions of a host that ran out.
func (c *Conductor) CleanExpiredConsoleAuths(ctx context.Context, host string) error {
	_, err := c.Class(ctx, "ConsoleAuthToken", "clean_expired_console_auths_for_host", []any{host}, nil)
	return err
}
