// A load generator for servers that answer a line with a line. What there is to learn from it:
//
// - One task for each connection, all in one task group; a deadline ends them all, wherever they
//   wait.
// - Two ways to load. Closed: each connection asks again when it has its answer, so a slow server
//   is asked less. Open: requests have a timetable, whatever the server does, as the users of a web
//   site do not wait for one another. A request that is late because the one before it was slow has
//   waited since its time in the table, and that counts: else the worst moments of a server are
//   measured least (Gil Tene calls it coordinated omission).
// - A connection that fails is counted and opened again; the load goes on.

import * as asyncio from "asyncio-ts";
import { type HostAndPort, isNetworkError } from "../command-line.ts";
import { Histogram } from "./histogram.ts";

export interface LoadOptions {
  readonly target: HostAndPort;
  readonly connections: number;
  /** How long to measure; connecting comes before. */
  readonly seconds: number;
  /** Requests per second, of all connections together; undefined: as fast as the answers come. */
  readonly rate?: number | undefined;
  readonly line: string;
  /** Seconds that connecting or an answer may take. */
  readonly patience: number;
}

/** What has been measured so far. */
export class Tally {
  readonly latency: Histogram = new Histogram();
  /** How many times each went wrong. */
  readonly errors: Map<string, number> = new Map();
  /** On the clock of the loop; undefined until all are connected. */
  startedAt: number | undefined = undefined;

  /** Seconds since the start. */
  get elapsed(): number {
    return this.startedAt === undefined ? 0 : asyncio.getRunningLoop().time() - this.startedAt;
  }

  fail(what: string): void {
    this.errors.set(what, (this.errors.get(what) ?? 0) + 1);
  }
}

/** Connections that are opened at the same time. */
const OPENING = 50;
/** Seconds before a connection that has failed is opened again. */
const REOPEN = 0.1;

/** Loads the server until the time is over. Rejects if it cannot be reached at first. */
export async function load(options: LoadOptions, tally: Tally): Promise<void> {
  await using clients = new AsyncDisposableStack();
  const all: Client[] = [];
  const open = async (number: number) => {
    all.push(clients.use(await Client.open(number, options)));
  };
  await open(0); // if there is no server, one error is enough
  await asyncio.taskGroup(
    async (group) => {
      for (let number = 1; number < options.connections; number++)
        group.createTask(() => open(number));
    },
    { limit: OPENING },
  );
  tally.startedAt = asyncio.getRunningLoop().time();
  await asyncio.moveOnAfter(options.seconds, async () => {
    await asyncio.taskGroup(async (group) => {
      for (const client of all) group.createTask(() => client.ask(tally));
    });
  });
}

class Client implements AsyncDisposable {
  readonly #number: number;
  readonly #options: LoadOptions;
  #connection: asyncio.Connection;

  private constructor(number: number, options: LoadOptions, connection: asyncio.Connection) {
    this.#number = number;
    this.#options = options;
    this.#connection = connection;
  }

  static async open(number: number, options: LoadOptions): Promise<Client> {
    return new Client(number, options, await connect(options));
  }

  /** Asks for ever. */
  async ask(tally: Tally): Promise<void> {
    const loop = asyncio.getRunningLoop();
    for (let count = 0; ; count++) {
      const startedAt = this.#timeOf(count, tally.startedAt ?? 0) ?? loop.time();
      if (startedAt > loop.time()) await asyncio.sleep(startedAt - loop.time());
      try {
        await asyncio.timeout(this.#options.patience, () => this.#askOnce());
        tally.latency.add(loop.time() - startedAt);
      } catch (error) {
        tally.fail(nameOf(error));
        await this.#reopen(tally);
      }
    }
  }

  async #askOnce(): Promise<void> {
    const { reader, writer } = this.#connection;
    await writer.write(`${this.#options.line}\n`);
    const answer = await reader.readLine();
    if (answer.at(-1) !== 0x0a) throw new asyncio.IncompleteReadError("the answer", answer);
  }

  /**
   * When request `count` is due: those of all connections take turns. Undefined without a
   * timetable.
   */
  #timeOf(count: number, startedAt: number): number | undefined {
    const { rate, connections } = this.#options;
    if (rate === undefined) return undefined;
    return startedAt + (count * connections + this.#number) / rate;
  }

  async #reopen(tally: Tally): Promise<void> {
    this.#connection.writer.abort();
    for (;;) {
      await asyncio.sleep(REOPEN);
      try {
        this.#connection = await connect(this.#options);
        return;
      } catch (error) {
        tally.fail(nameOf(error));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.writer.abort(); // an answer may be on its way, and is not wanted
  }
}

function connect({ target, patience }: LoadOptions): Promise<asyncio.Connection> {
  return asyncio.timeout(patience, () => asyncio.openConnection(target));
}

/** What counts as a failure of the server; everything else is one of ours, and ends the program. */
function nameOf(error: unknown): string {
  if (error instanceof asyncio.TimeoutError) return "timeout";
  if (error instanceof asyncio.IncompleteReadError) return "closed";
  if (isNetworkError(error)) return error.code;
  throw error;
}
