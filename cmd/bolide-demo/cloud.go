package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"bolide/test/controller/site"
	"bolide/test/enclave"
)

// ensureUp brings the cloud up in the background, unless it is up.
func (f *flags) ensureUp(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root: namespaces, links and libvirt are made")
	}
	return f.workDir().EnsureUp(ctx, "--dir", f.dir, "--bolide", f.bolide, "--kernel", f.kernel, "hold")
}

// hold keeps a cloud up until it is stopped.
func (f *flags) hold(cmd *cobra.Command, _ []string) error {
	return f.fresh(cmd.Context(), func(ctx context.Context) error {
		if err := f.workDir().MarkReady(); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
}

// fresh does the work in a cloud of its own, which ends with it.
func (f *flags) fresh(ctx context.Context, work func(context.Context) error) error {
	if enclave.CurrentStage() == enclave.Outside {
		return enclave.Enter(ctx, f.workDir())
	}
	s, err := site.Up(ctx, site.Options{Bolide: f.bolide, Kernel: f.kernel, Report: report()})
	if err == nil {
		err = work(ctx)
	}
	return errors.Join(err, s.Down())
}

// report prints the parts of the cloud as they come up.
func report() func(string, time.Duration) {
	var mu sync.Mutex
	begun := time.Now()
	fmt.Println(heading("A small cloud comes up, in namespaces of its own:"))
	return func(part string, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("  %5.1f s  %s\n", time.Since(begun).Seconds(), part)
	}
}

// demo is the whole story. With --keep its cloud is one in the background, else
// it is this process's own and cannot outlive it.
func (f *flags) demo(cmd *cobra.Command, _ []string) error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root: namespaces, links and libvirt are made")
	}
	if f.keep {
		return f.within(func(cmd *cobra.Command, _ []string) error { return f.tell(cmd.Context()) })(cmd, nil)
	}
	return f.fresh(cmd.Context(), f.tell)
}
