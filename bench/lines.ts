// Reading text line by line from a socket: `reader.lines()` beside the loop over node:readline that
// its documentation shows. The sender is a process of its own, and the same for both.

import { Conversation } from "./conversation.ts";
import type { LinesFinding } from "./network/lines/stage.ts";
import { inThisFolder } from "./program.ts";

/**
 * Starts a sender and a reader of its own, and has it warmed up. What it gives measures a turn: how
 * many lines a second come out of the loop.
 */
export async function lineReader(
  implementation: "native" | "ours",
  quick: boolean,
  started: AsyncDisposableStack,
): Promise<() => Promise<number>> {
  const count = quick ? 1000 : 400_000;
  const start = (name: string, ...args: readonly string[]): Conversation =>
    started.use(
      new Conversation(process.execPath, [inThisFolder(`network/lines/${name}.ts`), ...args]),
    );
  const sender = start("sender");
  const { port } = (await sender.answer()) as { port: number }; // it says so first
  const reader = start(implementation, String(port));
  await reader.answer();
  const read = async (): Promise<number> => {
    const { lines, characters, seconds } = (await reader.ask(String(count))) as LinesFinding;
    if (lines !== count || characters !== count * 79)
      throw new Error(`${implementation} has read ${lines} lines, ${characters} characters`);
    return lines / seconds;
  };
  await read(); // everything is loaded and compiled
  return read;
}
