package agent

import (
	"context"
)

// What cache_images answers for each image.
const (
	imageWasCached = "existing"
	imageCached    = "cached"
	imageFailed    = "error"
)

// opCacheImages fetches images before guests ask for them: POST /os-aggregates/{id}/images. It answers for each image
// alone.
func opCacheImages(*Agent) operation {
	return operation{
		method: "cache_images", hostwide: true,
		do: func(ctx context.Context, t *task) (any, error) {
			var ids []string
			if err := t.req.Arg("image_ids", &ids); err != nil {
				return nil, err
			}
			t.log.WithField("images", len(ids)).Info("caching images")
			answers := make(map[string]string, len(ids))
			for i, id := range ids {
				t.entry.Step("fetch "+id, i+1, len(ids))
				answer := imageCached
				if t.images.Cached(id) {
					answer = imageWasCached
				}
				if err := t.cacheImage(ctx, id); err != nil {
					t.log.WithField("image", id).WithError(err).Error("image not cached")
					answer = imageFailed
				}
				answers[id] = answer
			}
			return answers, nil
		},
	}
}

// cacheImage makes sure that the cache holds the image, and counts as a use of it.
func (t *task) cacheImage(ctx context.Context, id string) error {
	image, err := t.cloud.Images().Get(ctx, t.id, id)
	if err != nil {
		return err
	}
	base, err := t.cached(ctx, recordOf(image), 0)
	if err != nil {
		return err
	}
	base.Release()
	return nil
}
