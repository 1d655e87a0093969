package nova

import "encoding/json"

// wrapper is any of the typed views of an Object: a struct that embeds one.
type wrapper interface{ ~struct{ *Object } }

// As gives an object its typed view; nil stays nil.
//
//	inst := nova.As[nova.Instance](o)
func As[T wrapper](o *Object) *T {
	if o == nil {
		return nil
	}
	t := T(struct{ *Object }{o})
	return &t
}

// AsList gives each object its typed view; nil stays nil.
func AsList[T wrapper](objects []*Object) []*T {
	if objects == nil {
		return nil
	}
	out := make([]*T, len(objects))
	for i, o := range objects {
		out[i] = As[T](o)
	}
	return out
}

// Items is the reverse of AsList: the objects under the views, in their order.
func Items[T wrapper](views []*T) []*Object {
	out := make([]*Object, 0, len(views))
	for _, v := range views {
		if v != nil {
			out = append(out, struct{ *Object }(*v).Object)
		}
	}
	return out
}

// decodeAs reads one object primitive into its typed view; JSON null gives nil.
func decodeAs[T wrapper](raw json.RawMessage) (*T, error) {
	o, err := Decode(raw)
	return As[T](o), err
}

// decodeListAs reads a list object into typed views.
func decodeListAs[T wrapper](raw json.RawMessage) ([]*T, error) {
	objects, err := DecodeList(raw)
	if err != nil {
		return nil, err
	}
	return AsList[T](objects), nil
}

// nullable gives null for the empty text: most text fields of Nova distinguish
// "nothing" as null, never as "".
func nullable[S ~string](s S) any {
	if s == "" {
		return nil
	}
	return string(s)
}
