/** Counters for Prometheus. No label holds a URL, a host or a key: their number has to be bounded. */

import { Counter, Gauge, Histogram, Registry } from "prom-client";

export interface Metrics {
  readonly registry: Registry;
  ended(outcome: string, seconds: number, attempts: number, received: number): void;
  readonly running: { inc(): void; dec(): void };
}

/** `gauges` are asked when somebody reads. */
export function createMetrics(gauges: Readonly<Record<string, () => number>>): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: "pagefetch_requests_total",
    help: "Requests that have ended, by outcome: ok, cancelled, or the code of the failure",
    labelNames: ["outcome"],
    registers,
  });
  const seconds = new Histogram({
    name: "pagefetch_request_seconds",
    help: "Seconds from a request to the end of its answer",
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    registers,
  });
  const attempts = new Counter({
    name: "pagefetch_attempts_total",
    help: "Requests to targets",
    registers,
  });
  const received = new Counter({
    name: "pagefetch_received_bytes_total",
    help: "Bytes from targets and proxies, as they crossed the wire",
    registers,
  });
  const running = new Gauge({
    name: "pagefetch_requests_running",
    help: "Requests that run at the moment",
    registers,
  });
  for (const [name, read] of Object.entries(gauges)) {
    new Gauge({
      name: `pagefetch_${name}`,
      help: name.replaceAll("_", " "),
      registers,
      collect() {
        this.set(read());
      },
    });
  }
  return {
    registry,
    running,
    ended(outcome, time, tried, bytes) {
      requests.inc({ outcome });
      seconds.observe(time);
      attempts.inc(tried);
      received.inc(bytes);
    },
  };
}
