package domainxml

// InterfaceXML is the element of one card, as it is plugged into a guest that exists.
func InterfaceXML(i Interface) (string, error) {
	if err := i.check(); err != nil {
		return "", err
	}
	element := i.build()
	return element.Marshal()
}
