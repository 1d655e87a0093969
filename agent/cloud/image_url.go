package cloud

import "context"

// URL is where Glance has the image, as far as its address is known without asking it.
func (i *Images) URL(ctx context.Context, id Identity, imageID string) (string, error) {
	who, err := i.svc.credentials(ctx, id)
	if err != nil {
		return "", err
	}
	base, err := i.svc.where.next(who.catalog)
	if err != nil {
		return "", i.svc.unconfigured(err.Error())
	}
	return base + "/images/" + imageID, nil
}
