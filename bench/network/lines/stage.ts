// What the programs that read lines share: for each number on the standard input they have so many
// lines sent, and say how many characters those had and how long it took.

import { createInterface } from "node:readline";

export interface LinesFinding {
  readonly lines: number;
  readonly characters: number;
  readonly seconds: number;
}

/** Told of each line, without its end. */
export interface Tally {
  line(text: string): void;
}

/** @param read - Has `count` lines sent by the server at `port`, and reads them to the end. */
export async function perform(
  read: (port: number, count: number, tally: Tally) => Promise<void>,
): Promise<void> {
  const port = Number(process.argv[2]);
  console.log(JSON.stringify({ ready: true }));
  for await (const asked of createInterface({ input: process.stdin })) {
    let [lines, characters] = [0, 0];
    const startedAt = performance.now();
    await read(port, Number(asked), {
      line: (text) => {
        lines++;
        characters += text.length;
      },
    });
    const seconds = (performance.now() - startedAt) / 1000;
    console.log(JSON.stringify({ lines, characters, seconds } satisfies LinesFinding));
  }
}
