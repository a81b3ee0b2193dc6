// Workers for jobs in a table of PostgreSQL. `npm start --prefix examples/database-worker -- add
// hello` adds a job, `... -- work -- cat` does what is there and what comes: the program after `--`
// reads the job's text. Ctrl-C rolls back what is under way, and the job is done by the next
// worker. How it works is in session.ts and jobs.ts. Where the database is, the variables of psql
// say: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE.

import { parseArgs } from "node:util";
import * as asyncio from "asyncio-ts";
import { number, runProgram, UsageError } from "../command-line.ts";
import { addJobs, CHANNEL, type Job, jobsIn, makeTable } from "./jobs.ts";
import { isLoss, Session } from "./session.ts";
import { Bell, reopen, work } from "./worker.ts";

const usage = `Usage: npm start --prefix examples/database-worker -- add TEXT...
       npm start --prefix examples/database-worker -- work [options] -- PROGRAM...

  --workers N        jobs at the same time, each on a connection (default: 4)
  --attempts N       how many times a job is tried (default: 3)
  --backoff SECONDS  before the second attempt; then twice as long (default: 1)
  --seconds SECONDS  what a job may take (default: 60)
  --poll SECONDS     between looking for jobs, without a notification (default: 30)
  --help             print this text`;

function readOptions(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      workers: { type: "string", default: "4" },
      attempts: { type: "string", default: "3" },
      backoff: { type: "string", default: "1" },
      seconds: { type: "string", default: "60" },
      poll: { type: "string", default: "30" },
    },
  });
  const [command, ...rest] = positionals;
  if (command !== "add" && command !== "work")
    throw new UsageError(`there has to be "add" or "work", not ${command ?? "nothing"}`);
  const [first, ...others] = rest;
  if (first === undefined)
    throw new UsageError(
      command === "add" ? "there has to be a TEXT" : "there has to be a PROGRAM",
    );
  return {
    command,
    texts: rest,
    program: [first, ...others] as const,
    workers: number("--workers", values.workers, 1),
    attempts: number("--attempts", values.attempts, 1),
    backoff: number("--backoff", values.backoff),
    seconds: number("--seconds", values.seconds),
    pollSeconds: number("--poll", values.poll),
  };
}

type Options = ReturnType<typeof readOptions>;

async function runJob({ id, payload }: Job, { program, seconds }: Options): Promise<void> {
  const [name, ...args] = program;
  const { stdout } = await asyncio.runProcess(name, args, { input: payload, seconds });
  console.log(`job ${id}: ${stdout.trimEnd()}`);
}

async function workForEver(options: Options): Promise<void> {
  const { workers, pollSeconds } = options;
  const bell = new Bell();
  const tell = (error: unknown) => console.error(`lost: ${(error as Error).message}`);
  await asyncio.taskGroup(async (group) => {
    group.createTask(() =>
      reopen(
        async () => {
          await using session = await Session.open({});
          await session.listen(CHANNEL, () => bell.ring());
          bell.ring(); // something may have come before
          console.log("listening");
          await session.lost();
        },
        isLoss,
        tell,
      ),
    );
    for (let count = 0; count < workers; count++)
      group.createTask(() =>
        reopen(
          async () => {
            await using session = await Session.open({});
            const run = (job: Job) => runJob(job, options);
            await work(jobsIn(session, { ...options, run }), bell, { pollSeconds });
          },
          isLoss,
          tell,
        ),
      );
  });
}

await runProgram(usage, readOptions, async (options) => {
  {
    await using session = await Session.open({});
    await makeTable(session);
    if (options.command === "add") return await addJobs(session, options.texts);
  }
  await workForEver(options);
});
