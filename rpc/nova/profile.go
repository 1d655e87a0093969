package nova

import (
	"fmt"
	"maps"
	"strings"
)

// Profile is one Nova release as data: what a node of that release reports and
// sends. The numbers belong together; other services decide by them what they
// may ask of the node. A Profile does not change once made and may be shared.
type Profile struct {
	Name string // "zed", "2023.1", …

	// NovaVersion is the product version that guests are shown in their firmware tables.
	NovaVersion string

	// ServiceVersion is reported in the service record. It promises behaviour:
	// APIs enable features by the lowest value among all hosts.
	ServiceVersion int
	// OldestService is the lowest ServiceVersion of the cloud this release starts in.
	OldestService int
	// ComputeRPC is the newest version of the compute interface the release serves.
	ComputeRPC string

	// NodeIdentity: the node's uuid is kept in a compute_id file (from 2023.1).
	NodeIdentity bool
	// ComputeIDs: instances carry compute_id, migrations dest_compute_id and
	// compute nodes service_id (from 2024.1).
	ComputeIDs bool
	// Shares: Manila shares can be attached, objects ShareMapping exist (from 2025.1).
	Shares bool
	// AltTopic: peers may send to the topic compute-alt (from 2026.1).
	AltTopic bool

	versions map[string]string
}

// release is a profile with only the object versions it changed.
type release struct {
	profile Profile
	objects map[string]string
}

// releases lists the profiles, oldest first. Each one's object versions start
// from those before it.
func releases() []release {
	return []release{
		{
			profile: Profile{Name: "zed", NovaVersion: "26.2.2", ServiceVersion: 64, OldestService: 61, ComputeRPC: "6.1"},
			objects: zedVersions,
		},
		{
			profile: Profile{Name: "2023.1", NovaVersion: "27.0.0", ServiceVersion: 66, OldestService: 61, ComputeRPC: "6.2", NodeIdentity: true},
		},
		{
			profile: Profile{Name: "2024.1", NovaVersion: "29.0.0", ServiceVersion: 67, OldestService: 66, ComputeRPC: "6.3", NodeIdentity: true, ComputeIDs: true},
			objects: map[string]string{
				"Instance": "2.8", "Migration": "1.8", "RequestSpec": "1.15", "ImageMetaProps": "1.37",
				"ConsoleAuthToken": "1.2", "LibvirtLiveMigrateData": "1.11", "ShareMapping": "1.0", "ShareMappingList": "1.0",
			},
		},
		{
			profile: Profile{Name: "2025.1", NovaVersion: "31.0.0", ServiceVersion: 68, OldestService: 66, ComputeRPC: "6.4", NodeIdentity: true, ComputeIDs: true, Shares: true},
			objects: map[string]string{
				"ImageMetaProps": "1.39", "ConsoleAuthToken": "1.3", "LibvirtLiveMigrateData": "1.13", "ShareMapping": "1.2",
			},
		},
		{
			profile: Profile{Name: "2025.2", NovaVersion: "32.0.0", ServiceVersion: 70, OldestService: 68, ComputeRPC: "6.4", NodeIdentity: true, ComputeIDs: true, Shares: true},
			objects: map[string]string{"ImageMetaProps": "1.42"},
		},
		{
			profile: Profile{Name: "2026.1", NovaVersion: "33.0.0", ServiceVersion: 72, OldestService: 68, ComputeRPC: "6.5", NodeIdentity: true, ComputeIDs: true, Shares: true, AltTopic: true},
			objects: map[string]string{"LibvirtLiveMigrateData": "1.14"},
		},
	}
}

// Zed is the profile of Nova 26, the oldest release spoken to.
func Zed() Profile {
	p := releases()[0].profile
	p.versions = zedVersions
	return p
}

// ProfileOf finds a profile by its name. The error lists the names there are.
func ProfileOf(name string) (Profile, error) {
	versions := map[string]string{}
	for _, r := range releases() {
		maps.Copy(versions, r.objects)
		if r.profile.Name == strings.ToLower(name) {
			p := r.profile
			p.versions = versions
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("release %q is not one of %s", name, strings.Join(Releases(), ", "))
}

// Releases lists the names ProfileOf takes, oldest first.
func Releases() []string {
	var names []string
	for _, r := range releases() {
		names = append(names, r.profile.Name)
	}
	return names
}

// Version is the version of a class in this release, "" for an unknown class.
func (p Profile) Version(class string) string { return p.versions[class] }

// New makes an empty object of a class at this release's version. A class the
// release does not have gets version "1.0".
func (p Profile) New(class string) *Object {
	version := p.Version(class)
	if version == "" {
		version = "1.0"
	}
	return NewObject(class, version)
}

// NewList makes a list object, for example an InstanceList.
func (p Profile) NewList(class string, items ...*Object) *Object {
	return NewList(class, p.New(class).Version(), items...)
}

// Manifest gives the version of a class and of every class its objects may
// hold, however deep. Conductor downgrades what it answers by it.
func (p Profile) Manifest(class string) map[string]string {
	manifest := map[string]string{}
	p.reach(class, manifest)
	return manifest
}

func (p Profile) reach(class string, manifest map[string]string) {
	version := p.Version(class)
	if _, seen := manifest[class]; seen || version == "" {
		return
	}
	manifest[class] = version
	for _, next := range references[class] {
		p.reach(next, manifest)
	}
}

// Understands tells whether an object can be read as this release's class: the
// major version is the same. A newer minor version only adds fields.
func (p Profile) Understands(o *Object) bool {
	ours, _, _ := strings.Cut(p.Version(o.Name()), ".")
	theirs, _, _ := strings.Cut(o.Version(), ".")
	return ours != "" && ours == theirs
}
