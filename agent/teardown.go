package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"bolide/hypervisor"
)

// stopGuest powers the guest off at once, if it is there and on.
func (t *task) stopGuest(ctx context.Context) error {
	err := t.hypervisor.Destroy(ctx, t.inst.UUID())
	if errors.Is(err, hypervisor.ErrNotFound) {
		return nil
	}
	return err
}

// removeDomain powers the guest off and forgets its definition.
func (t *task) removeDomain(ctx context.Context) error {
	if err := t.stopGuest(ctx); err != nil {
		return err
	}
	t.serials.drop(t.inst.UUID())
	err := t.hypervisor.Undefine(ctx, t.inst.UUID())
	if errors.Is(err, hypervisor.ErrNotFound) {
		return nil
	}
	return err
}

// instanceDir is where the instance's files are.
func (a *Agent) instanceDir(uuid string) string {
	return filepath.Join(a.cfg.Default.InstancesPath, uuid)
}

// removeFiles removes the instance's directory and what a resize put beside it. The directory is renamed first,
// so that what a crash leaves half removed is never taken for an instance's.
func (t *task) removeFiles(context.Context) error {
	dir := t.instanceDir(t.inst.UUID())
	doomed := dir + "_del"
	if err := os.RemoveAll(doomed); err != nil { // of a removal that was cut off
		return err
	}
	if err := os.Rename(dir, doomed); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("set %s aside for removal: %w", dir, err)
	}
	return errors.Join(os.RemoveAll(doomed), os.RemoveAll(dir+"_resize"))
}

// noteCleaning notes on the record how the removal of the files went. Those that are still there are a periodic task's
// to remove.
func (t *task) noteCleaning(failure error) {
	if failure != nil {
		t.log.WithError(failure).Warn("instance's files not removed; it will be tried again")
	}
	attempts, _ := strconv.Atoi(t.inst.SystemMetadata()["clean_attempts"])
	t.inst.PutSystemMetadata("clean_attempts", strconv.Itoa(attempts+1))
	t.inst.Set("cleaned", failure == nil)
}
