package guest

import (
	"slices"

	"bolide/hypervisor/domainxml"
	"bolide/rpc/nova"
)

var videoModels = []string{"cirrus", "qxl", "vga", "vmvga", "xen", "virtio", "gop", "none", "bochs"}

// addScreen adds the screen servers, and with any of them a graphics card, pointer and keyboard.
func addScreen(g *domainxml.Guest, r Request, w wishes) error {
	s := r.Settings
	if s.SPICE.Enabled && s.SPICEAgent {
		g.Channels = append(g.Channels, domainxml.Channel{Source: domainxml.SpiceVMC{}, Name: "com.redhat.spice.0"})
	}
	if s.VNC.Enabled {
		g.Graphics = append(g.Graphics, domainxml.Graphics{Protocol: domainxml.VNC, Listen: s.VNC.Listen})
	}
	if s.SPICE.Enabled {
		g.Graphics = append(g.Graphics, domainxml.Graphics{Protocol: domainxml.SPICE, Listen: s.SPICE.Listen})
	}
	if len(g.Graphics) == 0 {
		return nil
	}
	video, err := videoOf(r, w)
	if err != nil {
		return err
	}
	g.Videos = []domainxml.Video{video}
	if bus := pointerBus(r); bus != "" {
		g.Inputs = append(g.Inputs, domainxml.Input{Type: "tablet", Bus: bus})
	}
	if bus := w.props.Str("hw_input_bus"); bus != "" {
		g.Inputs = append(g.Inputs, domainxml.Input{Type: "keyboard", Bus: bus})
	}
	return nil
}

func videoOf(r Request, w wishes) (domainxml.Video, error) {
	model := videoModel(r)
	if !slices.Contains(videoModels, model) {
		return domainxml.Video{}, nova.NewError("InvalidVideoMode", map[string]any{"model": model})
	}
	asked := int(w.props.Int("hw_video_ram")) // MiB
	limit, err := w.specInt("hw_video:ram_max_mb")
	if err != nil {
		return domainxml.Video{}, err
	}
	if asked > limit {
		return domainxml.Video{}, nova.NewError("RequestedVRamTooHigh", map[string]any{"req_vram": asked, "max_vram": limit})
	}
	return domainxml.Video{Model: model, RAMKiB: uint(max(0, asked)) * 1024}, nil
}

// videoModel is the image's choice, else one that works without a driver of its own.
func videoModel(r Request) string {
	if model := r.image().Prop("hw_video_model"); model != "" {
		return model
	}
	if r.Settings.SPICE.Enabled && isX86(r.arch()) {
		return "qxl"
	}
	return "virtio"
}

// pointerBus is the bus of the tablet, "" for no tablet. SPICE's agent makes one needless.
func pointerBus(r Request) string {
	image := r.image()
	if r.Settings.SPICE.Enabled && r.Settings.SPICEAgent && !r.Settings.VNC.Enabled {
		return ""
	}
	if bus := image.Prop("hw_input_bus"); bus != "" {
		return bus
	}
	if image.Prop("hw_pointer_model") != "" || r.Settings.PointerModel == "usbtablet" {
		return "usb"
	}
	return ""
}
