// Package notifyall has one goroutine that announces a round to all who wait, until each has seen it.
package notifyall

import "sync"

// Workload gives the part that is timed.
func Workload(tasks, repeats int) func() uint32 {
	return func() uint32 {
		var mutex sync.Mutex
		announced := sync.NewCond(&mutex)
		answered := sync.NewCond(&mutex)
		round, answers := 0, 0
		var checksum uint32
		var all sync.WaitGroup
		all.Add(tasks + 1)
		go func() {
			defer all.Done()
			for turn := 0; turn < repeats; turn++ {
				mutex.Lock()
				round++
				answers = 0
				announced.Broadcast()
				for answers != tasks {
					answered.Wait()
				}
				mutex.Unlock()
			}
		}()
		for task := 1; task <= tasks; task++ {
			go func(task int) {
				defer all.Done()
				for turn := 0; turn < repeats; turn++ {
					mutex.Lock()
					for round <= turn {
						announced.Wait()
					}
					checksum += uint32(task * round)
					answers++
					if answers == tasks {
						answered.Signal()
					}
					mutex.Unlock()
				}
			}(task)
		}
		all.Wait()
		return checksum
	}
}
