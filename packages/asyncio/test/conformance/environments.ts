// Where the checks run: in virtual time, with 20 seeds (other ones for each operation), with extra
// microtasks thrown in, and, where no time has to pass, in real time.

import * as asyncio from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { drawer, HoppingHost } from "../hopping-host.ts";

export interface Environment {
  /** Its seed, to see a failure again. */
  readonly label: string;
  readonly loop: asyncio.EventLoop;
  /** Waits until everything else waits. */
  quiet(): Promise<unknown>;
  /** Waits some microtasks, where the environment wants that. */
  hop(): Promise<void>;
}

interface Environments {
  readonly name: string;
  readonly isTimed: boolean;
  make(seeds: readonly number[]): Iterable<Environment>;
}

const SEEDS_EACH = Number(process.env.CONFORMANCE_SEEDS ?? 20);
let seedsUsed = Number(process.env.CONFORMANCE_SEED ?? 1) - 1;

/** Seeds that no operation has had yet. */
export function nextSeeds(): readonly number[] {
  return Array.from({ length: SEEDS_EACH }, () => ++seedsUsed);
}

/** Real seconds after which a check that hangs fails. */
const watchdog = 3;
const noHop = async (): Promise<void> => {};
// A virtual clock moves when nothing is ready.
const untilTimePasses = (): Promise<void> => asyncio.sleep(0.001);

export const environments: readonly Environments[] = [
  {
    name: "in virtual time",
    isTimed: true,
    make: () => [
      { label: "", loop: new VirtualLoop({ watchdog }), quiet: untilTimePasses, hop: noHop },
    ],
  },
  {
    name: "with seeds",
    isTimed: true,
    make: (seeds) =>
      seeds.map((seed) => ({
        label: `seed ${seed}`,
        loop: new VirtualLoop({ seed, watchdog }),
        quiet: untilTimePasses,
        hop: noHop,
      })),
  },
  {
    name: "with extra microtasks",
    isTimed: true,
    make: (seeds) =>
      seeds.map((seed) => {
        const host = new HoppingHost(drawer(seed));
        return {
          label: `seed ${seed}`,
          loop: new asyncio.EventLoop(host),
          quiet: untilTimePasses,
          hop: () => host.hop(),
        };
      }),
  },
  {
    name: "in real time",
    isTimed: false,
    make: () => [{ label: "", loop: new asyncio.HostLoop(), quiet: hostHops, hop: noHop }],
  },
];

/** Nothing is ready in real time when the host comes round. */
export async function hostHops(): Promise<void> {
  for (let hops = 0; hops < 3; hops++) await new Promise((resolve) => setImmediate(resolve));
}
