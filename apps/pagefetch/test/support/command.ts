/** The command `pagefetch` in this process, with the farm as its internet. */

import type { Farm } from "../../farm/farm.ts";
import { runCommand } from "../../src/cli/command.ts";
import { egressOf } from "./api.ts";
import { run } from "./farm.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs it to its end. `env` is all that it has of an environment. */
export async function commandOn(
  farm: Farm,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Ran> {
  const out: Uint8Array[] = [];
  let err = "";
  const code = await run(() =>
    runCommand(args, {
      env,
      out: async (data) => void out.push(Buffer.from(data)),
      say(line) {
        err += `${line}\n`;
      },
      egress: { ...egressOf(farm), allow: [farm.range] },
    }),
  );
  await farm.waitQuiet();
  return { code, out: Buffer.concat(out).toString(), err };
}
