// Package deadline has goroutines that take turns and look at their context before each; its deadline never passes.
package deadline

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Workload gives the part that is timed.
func Workload(tasks, repeats int) func() uint32 {
	return func() uint32 {
		var checksum uint32
		var all sync.WaitGroup
		all.Add(tasks)
		for task := 0; task < tasks; task++ {
			go func(task int) {
				defer all.Done()
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				for turn := 0; turn < repeats; turn++ {
					if ctx.Err() != nil {
						panic("it took too long")
					}
					atomic.AddUint32(&checksum, uint32((task+1)*(turn+1)))
					runtime.Gosched()
				}
			}(task)
		}
		all.Wait()
		return checksum
	}
}
