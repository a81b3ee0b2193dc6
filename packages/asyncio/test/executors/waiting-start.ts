// A module that never ends to load: it waits for something that does not come.

import { getEnvironmentData } from "node:worker_threads";

const at = getEnvironmentData("waiting-start") as Int32Array; // the test has put it there
Atomics.store(at, 0, 1);
await new Promise(() => {});

export { spin } from "./jobs.ts";
