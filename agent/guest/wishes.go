package guest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bolide/rpc/nova"
)

// wishes are what the flavor (extra specs such as hw:cpu_sockets) and the image (properties such as hw_cpu_sockets)
// ask of the machine.
type wishes struct {
	flavor nova.Flavor
	specs  map[string]string
	image  nova.ImageMeta
	props  *nova.Object
}

func wishesOf(r Request) wishes { return wishesFor(r.Instance.Flavor(), r.image()) }

func wishesFor(flavor nova.Flavor, image nova.ImageMeta) wishes {
	return wishes{flavor: flavor, specs: flavor.ExtraSpecs(), image: image, props: image.Properties()}
}

// machineType is what the image asks for, else the configured one, else Nova's choice for x86.
func (r Request) machineType() string {
	image := r.image()
	if machine := image.Prop("hw_machine_type"); machine != "" {
		return machine
	}
	arch := r.arch()
	if machine := r.Settings.MachineTypes[arch]; machine != "" {
		return machine
	}
	if isX86(arch) {
		return "pc"
	}
	return ""
}

// arch is the architecture of the guest's CPU.
func (r Request) arch() string {
	image := r.image()
	for _, prop := range []string{"hw_emulation_architecture", "hw_architecture"} {
		if arch := image.Prop(prop); arch != "" {
			return arch
		}
	}
	return r.Host.Arch
}

func isX86(arch string) bool { return arch == "x86_64" || arch == "i686" }

func isQ35(machine string) bool { return strings.Contains(machine, "q35") }

// flag is a truth value that flavor and image may both give, if they agree. set is false when neither does.
func (w wishes) flag(key string) (value, set bool, err error) {
	spec, inFlavor := w.specs["hw:"+key]
	inImage := !w.props.IsNull("hw_" + key)
	fromFlavor, fromImage := truthy(spec), w.props.Bool("hw_"+key)
	if inFlavor && inImage && fromFlavor != fromImage {
		return false, false, w.conflict("hw", key, title(fromFlavor), title(fromImage))
	}
	return inFlavor && fromFlavor || inImage && fromImage, inFlavor || inImage, nil
}

// choice is a word that flavor and image may both give, if they agree; "" when neither does.
func (w wishes) choice(prefix, key string) (string, error) {
	fromFlavor, fromImage := w.specs[prefix+":"+key], w.props.Str(prefix+"_"+key)
	if fromFlavor != "" && fromImage != "" && fromFlavor != fromImage {
		return "", w.conflict(prefix, key, fromFlavor, fromImage)
	}
	if fromFlavor != "" {
		return fromFlavor, nil
	}
	return fromImage, nil
}

func (w wishes) conflict(prefix, key, fromFlavor, fromImage string) error {
	return nova.NewErrorText("FlavorImageConflict", fmt.Sprintf(
		"Flavor %s has %s:%s extra spec explicitly set to %s, conflicting with image %s which has %s_%s explicitly set to %s.",
		w.flavor.Name(), prefix, key, fromFlavor, w.image.Name(), prefix, key, fromImage))
}

// specInt is a number in the extra specs, 0 when it is not there.
func (w wishes) specInt(key string) (int, error) {
	text := w.specs[key]
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, nova.NewErrorText("InvalidRequest", fmt.Sprintf("Invalid flavor extra spec. Error: %s=%s is no number", key, text))
	}
	return n, nil
}

// truthy reads a truth value as oslo.utils does: what is not known as true is false.
func truthy(text string) bool {
	return slices.Contains([]string{"1", "t", "true", "on", "y", "yes"}, strings.ToLower(strings.TrimSpace(text)))
}

// title writes a truth value as Python does, in the messages users know.
func title(v bool) string {
	if v {
		return "True"
	}
	return "False"
}
