// Package queue has producers and consumers on one bounded channel.
package queue

import (
	"sync"
	"sync/atomic"
)

const capacity = 100

// Workload gives the part that is timed.
func Workload(tasks, repeats int) func() uint32 {
	return func() uint32 {
		queue := make(chan int, capacity)
		var checksum uint32
		var all sync.WaitGroup
		all.Add(2 * tasks)
		for task := 0; task < tasks; task++ {
			go func(producer int) {
				defer all.Done()
				for turn := 0; turn < repeats; turn++ {
					queue <- producer + turn
				}
			}(task)
			go func() {
				defer all.Done()
				for turn := 0; turn < repeats; turn++ {
					atomic.AddUint32(&checksum, uint32(<-queue))
				}
			}()
		}
		all.Wait()
		return checksum
	}
}
