// Random programs, each made from a seed, run in virtual time, and held against the promises of the
// library: one holder of a lock at a time, permits conserved, items neither lost nor doubled, first
// come first served, nobody waits for what is there, nothing is left.
//
// A program is data: some actors, each a list of steps, which nest. Actors lock, queue, notify,
// sleep, cancel each other, time out, open groups and scopes, race, fail, and swallow errors. When
// the time is over, main cancels what is left.
//
// Sleeps are multiples of 0.1 s and main looks 0.05 s in between: at that moment of virtual time
// nothing else is ready, so the state of each primitive must agree with who is known to hold it and
// to wait for it.

import assert from "node:assert/strict";
import * as asyncio from "../../src/index.ts";
import { VirtualLoop } from "../../src/testing.ts";
import { drawer, HoppingHost } from "../hopping-host.ts";
import { type Program, smallerPrograms } from "./program.ts";
import { isExpected, World } from "./world.ts";

/** Runs `program`; rejects if a promise of the library was broken. */
export async function runProgram(program: Program): Promise<void> {
  const { seed, cancelGrace } = program;
  const reports: asyncio.ExceptionContext[] = [];
  // Every fourth one without exact steps, where microtasks of different tasks mix.
  const loop =
    seed % 4 === 3
      ? new asyncio.EventLoop(new HoppingHost(drawer(seed)), { cancelGrace })
      : new VirtualLoop({ seed, cancelGrace });
  loop.setExceptionHandler((_loop, context) => reports.push(context));
  await asyncio.run(() => new World(program).main(), { loop, signals: false });

  for (const { message, exception } of reports) {
    if (!isExpected(exception)) throw new Error(`reported: ${message}`, { cause: exception });
  }
  const { tasks, timers, ready } = loop.statistics();
  assert.deepEqual({ tasks, timers, ready }, { tasks: 0, timers: 0, ready: 0 });
  loop.close();
}

/** The smallest program in which one step after the other was left out and that still fails. */
export async function shrinkProgram(program: Program): Promise<Program> {
  for (const smaller of smallerPrograms(program)) {
    const fails = await runProgram(smaller).then(
      () => false,
      () => true,
    );
    if (fails) return shrinkProgram(smaller);
  }
  return program;
}
