/** The farm in a process of its own, so that its work is not measured with ours. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Egress } from "../src/egress/egress.ts";
import { zoneResolver } from "../src/egress/resolve.ts";
import { machineWire } from "../src/egress/wire.ts";

export interface FarmProcess {
  readonly zone: Readonly<Record<string, readonly string[]>>;
  readonly port: number;
  egress(): Egress;
  close(): Promise<void>;
}

export async function openFarmProcess(): Promise<FarmProcess> {
  const folder = join(import.meta.dirname, "../farm");
  const child = spawn(process.execPath, [join(folder, "main.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const { zone, range, port, securePort } = JSON.parse(line) as {
    zone: Record<string, string[]>;
    range: string;
    port: number;
    securePort: number;
  };
  return {
    zone,
    port,
    egress: () =>
      new Egress({
        resolver: zoneResolver(zone),
        wire: machineWire((to) => (to.port === 443 ? securePort : port)),
        allow: [range],
        authorities: [readFileSync(join(folder, "certificates/ca.pem"), "utf8")],
      }),
    async close() {
      child.stdin.end();
      await once(child, "exit");
    },
  };
}
