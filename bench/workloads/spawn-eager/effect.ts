// The same with Effect: `forEach` starts each child at once, whatever it is asked.

export { workload } from "../spawn-group/effect.ts";
