// Package cancel has goroutines that wait for something that never comes, cancelled one by one through a
// context each, and joined. Starting them is not timed.
package cancel

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Workload gives the part that is timed.
func Workload(tasks, _ int) func() uint32 {
	var checksum, cancelled, started uint32
	nothing := make(chan struct{})
	var all sync.WaitGroup
	all.Add(tasks)
	cancels := make([]context.CancelFunc, tasks)
	for task := range cancels {
		ctx, cancel := context.WithCancel(context.Background())
		cancels[task] = cancel
		go func(task int) {
			defer all.Done()
			defer func() { atomic.AddUint32(&checksum, uint32(task)) }()
			atomic.AddUint32(&started, 1)
			select {
			case <-nothing:
			case <-ctx.Done():
				atomic.AddUint32(&cancelled, 1)
			}
		}(task)
	}
	for atomic.LoadUint32(&started) < uint32(tasks) {
		runtime.Gosched()
	}
	return func() uint32 {
		for _, cancel := range cancels {
			cancel()
		}
		all.Wait()
		return checksum*31 + cancelled
	}
}
