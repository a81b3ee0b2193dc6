// Sleeping goroutines, joined by a WaitGroup. See stage.ts for what is printed.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// What the process has from the system, and what is in use, in bytes, garbage collected.
func read() (resident, heap float64) {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	text, _ := os.ReadFile("/proc/self/statm")
	var size, pages int
	fmt.Sscan(strings.TrimSpace(string(text)), &size, &pages)
	return float64(pages * os.Getpagesize()), float64(stats.HeapAlloc + stats.StackInuse)
}

func main() {
	var plan struct {
		Tasks   int
		Seconds float64
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &plan); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	resident, heap := read()
	startedAt := time.Now()
	var asleep, ended sync.WaitGroup
	asleep.Add(plan.Tasks)
	ended.Add(plan.Tasks)
	for task := 0; task < plan.Tasks; task++ {
		go func() {
			asleep.Done()
			time.Sleep(time.Duration(plan.Seconds * float64(time.Second)))
			ended.Done()
		}()
	}
	asleep.Wait()
	start := time.Since(startedAt)
	residentNow, heapNow := read()
	ended.Wait()
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"tasks":                plan.Tasks,
		"heapBytesPerTask":     (heapNow - heap) / float64(plan.Tasks),
		"residentBytesPerTask": (residentNow - resident) / float64(plan.Tasks),
		"startMs":              float64(start.Microseconds()) / 1000,
		"wallMs":               float64(time.Since(startedAt).Microseconds()) / 1000,
		"overlapped":           start.Seconds() > plan.Seconds,
	})
}
