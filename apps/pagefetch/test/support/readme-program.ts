/**
 * Runs a program of README.md, whose path is the first argument, with the farm as its internet, and a
 * service where it looks for one. The program's `src/index.ts` is `readme-world.ts`.
 */

import { pathToFileURL } from "node:url";
import { openFarm } from "../../farm/farm.ts";
import { enter } from "./readme-world.ts";
import { openService } from "./service-process.ts";

const farm = await openFarm();
const service = await openService(farm, {});
try {
  enter(farm, service);
  await import(pathToFileURL(process.argv[2] ?? "").href);
} finally {
  await service.end("SIGTERM");
  await farm.close();
}
