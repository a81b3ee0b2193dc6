// Package pingpong has goroutines that hand a ball to and fro, with a condition.
package pingpong

import "sync"

// Workload gives the part that is timed.
func Workload(tasks, repeats int) func() uint32 {
	return func() uint32 {
		var mutex sync.Mutex
		condition := sync.NewCond(&mutex)
		side := 0
		var checksum uint32
		var all sync.WaitGroup
		all.Add(tasks)
		for player := 0; player < tasks; player++ {
			go func(player int) {
				defer all.Done()
				for turn := 0; turn < repeats; turn++ {
					mutex.Lock()
					for side != player {
						condition.Wait()
					}
					checksum = checksum*31 + uint32(player)
					side = (player + 1) % tasks
					condition.Signal()
					mutex.Unlock()
				}
			}(player)
		}
		all.Wait()
		return checksum
	}
}
