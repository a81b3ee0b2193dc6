// Package boundedmap works on many items, a hundred at a time: a goroutine for each, admitted through a
// channel of a hundred places.
package boundedmap

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

const limit = 100

// Workload gives the part that is timed.
func Workload(tasks, repeats int) func() uint32 {
	return func() uint32 {
		results := make([]uint32, tasks*repeats)
		places := make(chan struct{}, limit)
		var now int32
		var all sync.WaitGroup
		all.Add(len(results))
		for item := range results {
			places <- struct{}{}
			go func(item int) {
				defer all.Done()
				if working := atomic.AddInt32(&now, 1); working > limit {
					panic(fmt.Sprintf("%d items are worked on at a time", working))
				}
				runtime.Gosched()
				results[item] = uint32(item ^ 1)
				atomic.AddInt32(&now, -1)
				<-places
			}(item)
		}
		all.Wait()
		var checksum uint32
		for _, result := range results {
			checksum = checksum*31 + result
		}
		return checksum
	}
}
