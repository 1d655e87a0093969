package agent

import (
	"testing"
	"time"

	"bolide/agent/config"
	"bolide/rpc/nova"
)

// TestShutdownPatience looks whose word on it counts.
func TestShutdownPatience(t *testing.T) {
	for name, c := range map[string]struct {
		image map[string]any
		want  time.Duration
	}{
		"the node's":               {map[string]any{}, time.Minute},
		"the image's":              {map[string]any{"image_os_shutdown_timeout": "300"}, 5 * time.Minute},
		"the image wants none":     {map[string]any{"image_os_shutdown_timeout": "0"}, 0},
		"the image says no number": {map[string]any{"image_os_shutdown_timeout": "soon"}, time.Minute},
		"the image says nonsense":  {map[string]any{"image_os_shutdown_timeout": "-1"}, time.Minute},
	} {
		cfg := &config.Config{}
		cfg.Default.ShutdownTimeout = time.Minute
		i := nova.As[nova.Instance](nova.Zed().New("Instance"))
		i.Set("system_metadata", c.image)
		if got := (&task{cfg: cfg, inst: i}).shutdownPatience(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
