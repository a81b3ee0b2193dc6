// Package lock has a mutex that many want: taken, held for one turn, released.
package lock

import (
	"runtime"
	"sync"
)

// Workload gives the part that is timed.
func Workload(tasks, repeats int) func() uint32 {
	return func() uint32 {
		var mutex sync.Mutex
		var balance uint32
		var all sync.WaitGroup
		all.Add(tasks)
		for task := 0; task < tasks; task++ {
			go func(amount uint32) {
				defer all.Done()
				for turn := 0; turn < repeats; turn++ {
					mutex.Lock()
					before := balance
					runtime.Gosched()
					balance = before + amount
					mutex.Unlock()
				}
			}(uint32(task + 1))
		}
		all.Wait()
		return balance
	}
}
