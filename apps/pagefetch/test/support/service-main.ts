/** The program of `service-process.ts`. Its last line says what was left when it had ended. */

import * as asyncio from "asyncio-ts";
import { serve } from "../../src/api/serve.ts";
import { check } from "../../src/cli/config.ts";
import { withService } from "../../src/cli/running.ts";
import { zoneResolver } from "../../src/egress/resolve.ts";
import { machineWire, type RawSocket, type Wire } from "../../src/egress/wire.ts";
import type { Told } from "./service-process.ts";

const told = JSON.parse(process.env.PAGEFETCH_TOLD ?? "{}") as Told; // by service-process.ts
const config = check(told.config);
const { plain, secure, canary } = told.ports;
const say = (json: object): void => void process.stdout.write(`${JSON.stringify(json)}\n`);

const opened = new Set<RawSocket>();
const wire = machineWire(({ address, port }) => {
  if (port !== 80 && port !== 443) return port;
  if (!address.startsWith("127.0.1.")) return canary;
  return port === 80 ? plain : secure;
});
const noting: Wire = {
  async connect(to) {
    const socket = await wire.connect(to);
    opened.add(socket);
    socket.once("close", () => opened.delete(socket));
    return socket;
  },
};

// By a signal, as nothing reads its standard input: what is left when all garbage is collected.
process.on("SIGUSR2", () => {
  for (let round = 0; round < 3; round++) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  say({ heap: (heapUsed + external) / 2 ** 20 });
});

let running = -1;
const unlimited = { name: "test", rate: 1e6, burst: 1e6, concurrency: 1e6 };

async function main(): Promise<void> {
  const egress = {
    resolver: zoneResolver(told.zone),
    wire: noting,
    authorities: [told.authority],
  };
  const report = (text: string): void => void process.stderr.write(`${text}\n`);
  await withService(config, { egress, report }, async ({ app, service }) => {
    const { secret } = await service.store.keys.create(unlimited);
    try {
      await serve(app, service, { port: 0, drain: config.drain }, async (address) => {
        say({ address, key: secret });
        await new asyncio.Event().wait();
      });
    } finally {
      running = service.running;
    }
  });
}

await asyncio.run(async () => {
  try {
    await main();
  } finally {
    // Here, as a signal ends the process without its event "exit".
    const sockets = [...opened].filter(({ destroyed }) => !destroyed).length;
    say({ sockets, running });
  }
});
