package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bolide/test/openstack/api"
	"bolide/test/openstack/ground"
)

// client uses the cloud through its API, and shows what the node does meanwhile.
type client struct{ *api.Servers }

func connect(ctx context.Context) (*client, error) {
	s, err := api.NewServers(ctx, ground.ImageName, ground.FlavorName, ground.NetworkName)
	return &client{s}, err
}

// find turns a name, an id or the beginning of one into a server.
func (c *client) find(ctx context.Context, which string) (api.Server, error) {
	all, err := c.list(ctx)
	if err != nil {
		return api.Server{}, err
	}
	var found []api.Server
	for _, v := range all {
		if v.Name == which || strings.HasPrefix(v.ID, which) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 0:
		return api.Server{}, fmt.Errorf("there is no guest %s", which)
	case 1:
		return found[0], nil
	}
	return api.Server{}, fmt.Errorf("%d guests are called %s: use an id", len(found), which)
}

func (c *client) list(ctx context.Context) ([]api.Server, error) {
	var out struct{ Servers []api.Server }
	err := c.Get(ctx, api.Compute+"/servers/detail", &out)
	return out.Servers, err
}

// watched does something while the node's steps are shown.
func watched(ctx context.Context, do func() error) error {
	stop, err := watch(ctx)
	if err != nil {
		return err
	}
	err = do()
	stop()
	return err
}

// boot makes a guest and waits until it runs.
func (c *client) boot(ctx context.Context, name string) (v api.Server, err error) {
	err = watched(ctx, func() (err error) {
		v, err = c.Boot(ctx, name, nil)
		return err
	})
	return v, err
}

// change asks for an action and waits for the state it leads to.
func (c *client) change(ctx context.Context, id, action string, arg any, want api.State) error {
	return watched(ctx, func() error {
		if err := c.Act(ctx, id, action, arg, nil); err != nil {
			return err
		}
		_, err := c.Wait(ctx, id, want)
		return err
	})
}

// snapshot makes an image of a guest and waits until it is there.
func (c *client) snapshot(ctx context.Context, id, name string) (size int64, err error) {
	var made struct {
		Image string `json:"image_id"`
	}
	err = watched(ctx, func() error {
		if err := c.Act(ctx, id, "createImage", map[string]any{"name": name}, &made); err != nil {
			return err
		}
		return api.Until(ctx, 2*time.Minute, func(ctx context.Context) (bool, error) {
			var img struct {
				Status string
				Size   int64
			}
			if err := c.Get(ctx, api.Image+"/images/"+made.Image, &img); err != nil {
				return true, err
			}
			size = img.Size
			if img.Status == "active" {
				return true, nil
			}
			return false, fmt.Errorf("the image is %s", img.Status)
		})
	})
	if err == nil {
		_, err = c.Wait(ctx, id, api.Active())
	}
	return size, err
}

func (c *client) drop(ctx context.Context, id string) error {
	return watched(ctx, func() error { return c.Drop(ctx, id) })
}

// onServer is a verb about one guest.
func (f *flags) onServer(use, short string, do func(ctx context.Context, c *client, v api.Server) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " GUEST", Short: short, Args: cobra.ExactArgs(1),
		RunE: f.within(func(cmd *cobra.Command, args []string) error {
			c, err := connect(cmd.Context())
			if err != nil {
				return err
			}
			v, err := c.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return do(cmd.Context(), c, v)
		}),
	}
}

// verbs are the commands that use a cloud that is up.
func (f *flags) verbs() []*cobra.Command {
	off := api.State{Status: "SHUTOFF", Power: api.Shutdown}
	change := func(use, short, action string, arg any, want api.State) *cobra.Command {
		return f.onServer(use, short, func(ctx context.Context, c *client, v api.Server) error {
			err := c.change(ctx, v.ID, action, arg, want)
			if err == nil {
				fmt.Println(v.Name, "is", want.Status)
			}
			return err
		})
	}
	inside := &cobra.Command{
		Use: "exec COMMAND [ARGUMENT...]", Short: "Run a command inside: virsh, bolide top, a shell", Args: cobra.MinimumNArgs(1),
		RunE: f.within(func(cmd *cobra.Command, args []string) error { return f.inherit(cmd.Context(), args[0], args[1:]...) }),
	}
	inside.Flags().SetInterspersed(false) // what follows is the command's
	return []*cobra.Command{
		{Use: "boot [NAME]", Short: "Boot a guest", Args: cobra.MaximumNArgs(1), RunE: f.within(bootVerb)},
		{Use: "list", Short: "List the guests", Args: cobra.NoArgs, RunE: f.within(listVerb)},
		f.onServer("show", "Show a guest as Nova sees it, and as the node does", showVerb),
		f.onServer("console", "Print what a guest wrote on its console", consoleVerb),
		change("stop", "Power a guest off", "os-stop", nil, off),
		change("start", "Power a guest on", "os-start", nil, api.Active()),
		change("reboot", "Reboot a guest", "reboot", map[string]any{"type": "HARD"}, api.Active()),
		f.onServer("snapshot", "Make an image of a guest", func(ctx context.Context, c *client, v api.Server) error {
			size, err := c.snapshot(ctx, v.ID, v.Name+"-snapshot")
			if err == nil {
				fmt.Printf("image %s-snapshot has %d MiB\n", v.Name, size>>20)
			}
			return err
		}),
		f.onServer("delete", "Delete a guest", func(ctx context.Context, c *client, v api.Server) error {
			err := c.drop(ctx, v.ID)
			if err == nil {
				fmt.Println(v.Name, "is gone")
			}
			return err
		}),
		{Use: "status", Short: "Show the node's status page", Args: cobra.NoArgs, RunE: f.within(func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), "status") })},
		inside,
	}
}

func bootVerb(cmd *cobra.Command, args []string) error {
	c, err := connect(cmd.Context())
	if err != nil {
		return err
	}
	name := fmt.Sprintf("guest-%d", time.Now().Unix()%100000)
	if len(args) > 0 {
		name = args[0]
	}
	v, err := c.boot(cmd.Context(), name)
	if err == nil {
		fmt.Printf("%s is %s, with address %s\n", v.Name, v.Status, v.Address())
	}
	return err
}

func listVerb(cmd *cobra.Command, _ []string) error {
	c, err := connect(cmd.Context())
	if err != nil {
		return err
	}
	all, err := c.list(cmd.Context())
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tSTATUS\tTASK\tADDRESS")
	for _, v := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.Name, v.ID, v.Status, v.Task, v.Address())
	}
	return w.Flush()
}

func showVerb(_ context.Context, _ *client, v api.Server) error {
	fmt.Printf("name     %s\nid       %s\nstatus   %s\naddress  %s\nhost     %s\n", v.Name, v.ID, v.Status, v.Address(), v.Host)
	if v.Task != "" {
		fmt.Println("task    ", v.Task)
	}
	if v.Fault.Message != "" {
		fmt.Println("fault   ", v.Fault.Message)
	}
	return nil
}

func consoleVerb(ctx context.Context, c *client, v api.Server) error {
	text, err := c.ConsoleText(ctx, v.ID, 0)
	if err == nil {
		fmt.Print(text)
	}
	return err
}

// run runs a verb of bolide's.
func (f *flags) run(ctx context.Context, args ...string) error {
	return f.inherit(ctx, f.bolide, args...)
}

// inherit runs a command with this program's terminal and with bolide in its
// PATH.
func (f *flags) inherit(ctx context.Context, name string, args ...string) error {
	if err := os.Setenv("PATH", filepath.Dir(f.bolide)+":"+os.Getenv("PATH")); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return err
}
