// A module that takes its time to load: until the test lets it go on.

import { getEnvironmentData } from "node:worker_threads";

const at = getEnvironmentData("slow-start") as Int32Array; // the test has put it there
Atomics.store(at, 0, 1);
Atomics.wait(at, 1, 0);

export { countCalls, spin } from "./jobs.ts";
