// Package spawngroup has goroutines joined by a WaitGroup, one per batch.
package spawngroup

import (
	"sync"
	"sync/atomic"
)

// Workload gives the part that is timed.
func Workload(tasks, repeats int) func() uint32 {
	return func() uint32 {
		var checksum uint32
		for batch := 0; batch < repeats; batch++ {
			var group sync.WaitGroup
			group.Add(tasks)
			for task := 0; task < tasks; task++ {
				go func(task int) {
					defer group.Done()
					atomic.AddUint32(&checksum, uint32((task+1)*(batch+1)))
				}(task)
			}
			group.Wait()
		}
		return checksum
	}
}
