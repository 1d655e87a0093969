package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bolide/agent/status"
	"bolide/imagecache"
)

var _ status.ImageCache = (*Agent)(nil)

// ListImages implements [status.ImageCache].
func (a *Agent) ListImages(ctx context.Context) (status.ImageList, error) {
	entries, err := a.images.List(ctx, a.cfg.Default.InstancesPath)
	if err != nil {
		return status.ImageList{}, err
	}
	list := status.ImageList{Images: cachedImages(entries), Limit: int64(a.cfg.Bolide.ImageCacheSize) * gib}
	for _, w := range a.images.Activities() {
		list.Work = append(list.Work, status.ImageWork{
			Image: w.Image, Phase: string(w.Phase), Started: w.Started, Done: w.Done, Total: w.Total,
			Rate: w.Rate, SecondsLeft: w.SecondsLeft, Waiters: w.Waiters,
		})
	}
	list.Bytes, err = a.images.Bytes()
	return list, err
}

func cachedImages(entries []imagecache.Entry) []status.CachedImage {
	var all []status.CachedImage
	for _, e := range entries {
		all = append(all, status.CachedImage{
			Name: e.Name, Image: e.Image, Format: e.Format, VirtualSize: e.VirtualSize, Allocated: e.Bytes,
			LastUse: e.LastUse, Fetched: e.Fetched, Verified: e.Verified, Users: e.Users, Builds: e.Pins,
		})
	}
	return all
}

// tellEvery is how often a verification says how far it is.
const tellEvery = time.Second

// VerifyImages implements [status.ImageCache].
func (a *Agent) VerifyImages(ctx context.Context, name string, tell func(status.ImageCheck)) error {
	entries, err := a.images.List(ctx, a.cfg.Default.InstancesPath)
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		if name != "" && name != e.Name && imagecache.Name(name) != e.Name {
			continue
		}
		found = true
		a.verifyImage(ctx, e, tell)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if name != "" && !found {
		return fmt.Errorf("the image cache holds no %s", name)
	}
	return nil
}

func (a *Agent) verifyImage(ctx context.Context, e imagecache.Entry, tell func(status.ImageCheck)) {
	check := status.ImageCheck{Name: e.Name, Image: e.Image}
	told := time.Now()
	err := a.images.Verify(ctx, e.Name, func(done, total int64) {
		check.Done, check.Total = done, total
		if time.Since(told) >= tellEvery {
			told = time.Now()
			tell(check)
		}
	})
	switch {
	case err == nil:
		check.Result = status.ImageIntact
	case errors.Is(err, imagecache.ErrDamaged):
		check.Result = status.ImageDamaged
		a.log.WithField("path", e.Name).Error("cached image is damaged")
	case errors.Is(err, imagecache.ErrUnverifiable):
		check.Result = status.ImageUnverifiable
	default:
		check.Result, check.Error = status.ImageUnread, err.Error()
	}
	tell(check)
}

// PruneImages implements [status.ImageCache].
func (a *Agent) PruneImages(ctx context.Context, r status.PruneRequest) (status.PruneResult, error) {
	o, err := a.sweepOptions(ctx)
	if err != nil {
		return status.PruneResult{}, err
	}
	o.Remove, o.DryRun = !r.DryRun, r.DryRun
	if r.All {
		o.OriginalAge, o.ResizedAge = 0, 0
	}
	kept, removed, err := a.images.Sweep(ctx, o)
	if !r.DryRun {
		a.log.WithField("files", len(removed)).Info("image cache pruned on the status socket")
	}
	return status.PruneResult{Removed: cachedImages(removed), Kept: len(kept)}, err
}
