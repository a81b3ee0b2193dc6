// The same with an AbortController for each, and one line that aborts them all. (One signal for all
// of them would be quadratic: the host looks through its listeners when one is added.)

export { workload } from "../cancel/native.ts";
