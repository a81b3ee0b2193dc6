// Compiled, never run: streams are there where the options say so, and what is captured is what
// `capture` says.

import * as asyncio from "../src/index.ts";
import { type Equal, expectType } from "./equal.ts";

const piped = await asyncio.createSubprocessExec("cat", [], { stdin: "pipe", stdout: "pipe" });
expectType<Equal<typeof piped.stdin, asyncio.StreamWriter>>();
expectType<Equal<typeof piped.stdout, asyncio.StreamReader>>();
expectType<Equal<typeof piped.stderr, undefined>>();

const oneByOne = await asyncio.createSubprocessExec("echo", "a", "b", { stdout: "pipe" });
expectType<Equal<typeof oneByOne.stdout, asyncio.StreamReader>>();
const [stdout, stderr] = await oneByOne.communicate();
expectType<Equal<typeof stdout, Uint8Array>>();
expectType<Equal<typeof stderr, undefined>>();

const inherited = await asyncio.createSubprocessExec("ls");
expectType<Equal<typeof inherited.stdin, undefined>>();

declare const options: asyncio.SubprocessOptions;
const unknown = await asyncio.createSubprocessShell("ls", options);
expectType<Equal<typeof unknown.stdout, asyncio.StreamReader | undefined>>();
const anyProcess: asyncio.Process = unknown;
expectType<Equal<typeof anyProcess.pid, number>>();

const text = await asyncio.runProcess("ls");
expectType<Equal<typeof text.stdout, string>>();

const bytes = await asyncio.runProcess("ls", ["-l"], { capture: "bytes", stderr: "inherit" });
expectType<Equal<typeof bytes.stdout, Uint8Array>>();
expectType<Equal<typeof bytes.stderr, undefined>>();

const shown = await asyncio.runProcess("ls", [], { capture: false });
expectType<Equal<typeof shown.stdout, undefined>>();

const merged = await asyncio.runProcess("ls", [], { stderr: "stdout", seconds: 5 });
expectType<Equal<typeof merged.stdout, string>>();
expectType<Equal<typeof merged.stderr, undefined>>();

declare const runOptions: asyncio.RunProcessOptions;
const anyhow = await asyncio.runProcess("ls", [], runOptions);
expectType<Equal<typeof anyhow.stdout, string | Uint8Array | undefined>>();

// @ts-expect-error: there is no such stream
await asyncio.createSubprocessExec("ls", [], { stdin: "tty" });
// @ts-expect-error: only stderr goes where stdout goes
await asyncio.createSubprocessExec("ls", [], { stdout: "stdout" });
// @ts-expect-error: streams carry bytes
await asyncio.createSubprocessExec("ls", [], { encoding: "utf8" });
