// Reading text line by line from a socket: `reader.lines()` beside the loop over node:readline that
// its documentation shows. The sender is a process of its own, and the same for both.

import { Conversation } from "./conversation.ts";
import type { LinesFinding } from "./network/lines/stage.ts";
import { inThisFolder } from "./program.ts";

/** How many lines a second come out of the loop. */
export async function readLines(
  implementation: "native" | "ours",
  quick: boolean,
): Promise<number> {
  const count = quick ? 1000 : 1_000_000;
  const start = (name: string, ...args: readonly string[]): Conversation =>
    new Conversation(process.execPath, [inThisFolder(`network/lines/${name}.ts`), ...args]);
  await using sender = start("sender");
  const { port } = (await sender.answer()) as { port: number }; // it says so first
  await using reader = start(implementation, String(port));
  await reader.answer();
  await reader.ask(String(count / 4)); // everything is loaded and compiled
  const { lines, characters, seconds } = (await reader.ask(String(count))) as LinesFinding;
  if (lines !== count || characters !== count * 79)
    throw new Error(`${implementation} has read ${lines} lines, ${characters} characters`);
  return lines / seconds;
}
