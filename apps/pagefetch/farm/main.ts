/**
 * The farm as a program of its own: prints what is needed to find it, as one line of JSON, and runs
 * until its input ends or it gets a signal.
 */

import { openFarm } from "./farm.ts";

const farm = await openFarm();
const port = farm.portOf({ address: "127.0.1.1", port: 80 });
const securePort = farm.portOf({ address: "127.0.1.1", port: 443 });
console.log(JSON.stringify({ zone: farm.zone, range: farm.range, port, securePort }));

const close = (): void => {
  process.stdin.destroy();
  void farm.close();
};
process.once("SIGINT", close);
process.once("SIGTERM", close);
process.stdin.on("end", close).resume();
