// The counterpart of measure-case.ts for Go: measures one workload in a fresh process, and prints the
// result as one line of JSON. contenders.ts builds and starts it.
//
//	measure-case FOLDER go '{"tasks":1000,"repeats":1000}' SAMPLES BUDGET-MS
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"time"

	cancel "asyncio-ts-bench/workloads/cancel"
	notifyall "asyncio-ts-bench/workloads/condition-notify-all"
	pingpong "asyncio-ts-bench/workloads/condition-ping-pong"
	"asyncio-ts-bench/workloads/deadline"
	lock "asyncio-ts-bench/workloads/lock"
	boundedmap "asyncio-ts-bench/workloads/map"
	queue "asyncio-ts-bench/workloads/queue"
	spawngroup "asyncio-ts-bench/workloads/spawn-group"
	spawntask "asyncio-ts-bench/workloads/spawn-task"
	takesturns "asyncio-ts-bench/workloads/switch"
	timers "asyncio-ts-bench/workloads/timers"
)

var workloads = map[string]func(tasks, repeats int) func() uint32{
	"cancel":               cancel.Workload,
	"condition-notify-all": notifyall.Workload,
	"condition-ping-pong":  pingpong.Workload,
	"deadline":             deadline.Workload,
	"lock":                 lock.Workload,
	"map":                  boundedmap.Workload,
	"queue":                queue.Workload,
	"spawn-group":          spawngroup.Workload,
	"spawn-task":           spawntask.Workload,
	"switch":               takesturns.Workload,
	"timers":               timers.Workload,
}

func main() {
	if len(os.Args) != 6 {
		fail("expected a folder, an implementation, a size, a number of samples and a budget")
	}
	var size struct{ Tasks, Repeats int }
	if err := json.Unmarshal([]byte(os.Args[3]), &size); err != nil {
		fail(err.Error())
	}
	samples, _ := strconv.Atoi(os.Args[4])
	budgetMs, _ := strconv.Atoi(os.Args[5])
	workload := workloads[os.Args[1]]
	if workload == nil {
		fail("no workload " + os.Args[1])
	}

	checksum := workload(size.Tasks, size.Repeats)()
	found := []float64{}
	spent := time.Duration(0)
	for len(found) == 0 || (len(found) < samples && spent < time.Duration(budgetMs)*time.Millisecond) {
		work := workload(size.Tasks, size.Repeats)
		runtime.GC()
		startedAt := time.Now()
		again := work()
		took := time.Since(startedAt)
		if again != checksum {
			fail(fmt.Sprintf("two samples have the checksums %d and %d", checksum, again))
		}
		spent += took
		found = append(found, float64(took.Nanoseconds())/float64(size.Tasks*size.Repeats))
	}
	sort.Float64s(found)
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"checksum": checksum, "nanosecondsPerOperation": found,
	})
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}
