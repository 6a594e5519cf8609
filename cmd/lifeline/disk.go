package main

import (
	"fmt"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// nearlyFull is the share of a disk below which its free room is a matter for people.
const nearlyFull = 0.10

// freeShare is how much of the disk under a directory is free for us, from 0 to 1.
func freeShare(dir string) (float64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("look at the disk under %s: %w", dir, err)
	}
	return float64(s.Bavail) / float64(max(s.Blocks, 1)), nil
}

// room says what there is to say of the disk under a directory, and whether somebody has to make room.
func room(dir string) (says string, short bool) {
	free, err := freeShare(dir)
	if err != nil {
		return err.Error(), true
	}
	return fmt.Sprintf("%.0f %% of the disk under %s are free", 100*free, dir), free < nearlyFull
}

// roomMetric is the free share of the disk under a directory, for an alarm; -1 while it cannot be seen.
func roomMetric(dir string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "lifeline_disk_free_ratio", Help: "Free share of the disk under LIFELINE_DATA, from 0 to 1."}, func() float64 {
		free, err := freeShare(dir)
		if err != nil {
			return -1
		}
		return free
	})
}
