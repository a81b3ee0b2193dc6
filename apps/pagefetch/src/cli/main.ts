#!/usr/bin/env node
/** The command `pagefetch` as a program. */

import * as asyncio from "asyncio-ts";
import { runCommand, type World } from "./command.ts";

const world: World = {
  env: process.env,
  out: (data) =>
    new Promise((resolve, reject) => {
      process.stdout.write(data, (error) => (error ? reject(error) : resolve()));
    }),
  say: (line) => void process.stderr.write(`${line}\n`),
};

process.exitCode = await asyncio.run(() => runCommand(process.argv.slice(2), world));
