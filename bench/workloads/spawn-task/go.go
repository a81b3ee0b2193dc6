// Package spawntask has goroutines that return at once, each awaited through a channel of its own.
package spawntask

// Workload gives the part that is timed.
func Workload(tasks, repeats int) func() uint32 {
	return func() uint32 {
		var checksum uint32
		for batch := 0; batch < repeats; batch++ {
			started := make([]chan int, tasks)
			for task := range started {
				answer := make(chan int, 1)
				started[task] = answer
				go func(task int) { answer <- task }(task)
			}
			for _, answer := range started {
				checksum = checksum*31 + uint32(<-answer)
			}
		}
		return checksum
	}
}
