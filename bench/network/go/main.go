// An echo server with a goroutine for each connection: see service.ts.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
)

// As much as bufio takes: what Go's own libraries read with.
const chunkSize = 4096

var connections int64

func echo(connection net.Conn) {
	atomic.AddInt64(&connections, 1)
	defer atomic.AddInt64(&connections, -1)
	defer connection.Close()
	chunk := make([]byte, chunkSize)
	for {
		count, err := connection.Read(chunk)
		if err != nil {
			return
		}
		if _, err := connection.Write(chunk[:count]); err != nil {
			return
		}
	}
}

func usage() map[string]any {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	cpuMs := float64(used.Utime.Nano()+used.Stime.Nano()) / 1e6
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	text, _ := os.ReadFile("/proc/self/statm")
	var size, pages int
	fmt.Sscan(strings.TrimSpace(string(text)), &size, &pages)
	return map[string]any{
		"connections":   atomic.LoadInt64(&connections),
		"cpuMs":         cpuMs,
		"heapBytes":     stats.HeapAlloc + stats.StackInuse,
		"residentBytes": pages * os.Getpagesize(),
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go echo(connection)
		}
	}()
	output := json.NewEncoder(os.Stdout)
	_ = output.Encode(map[string]any{"port": listener.Addr().(*net.TCPAddr).Port})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		_ = output.Encode(usage())
	}
}
