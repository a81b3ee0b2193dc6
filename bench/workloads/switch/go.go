// Package takesturns has goroutines that take turns: each Gosched lets the others run.
package takesturns

import (
	"runtime"
	"sync"
	"sync/atomic"
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
				for turn := 0; turn < repeats; turn++ {
					atomic.AddUint32(&checksum, uint32((task+1)*(turn+1)))
					runtime.Gosched()
				}
			}(task)
		}
		all.Wait()
		return checksum
	}
}
