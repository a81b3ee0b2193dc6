/**
 * One session of PostgreSQL, on a client of `pg`. The client connects and proves who it is; what is
 * said on the wire from then on is said and read here. So it is known when the server is ready for
 * the next request (ReadyForQuery), and in which state, which the client's own queries do not tell
 * when they fail; and a query costs less than through the client.
 */

import { createHash } from "node:crypto";
import type { DriverConnection, Request, Statement, Status } from "../driver.ts";
import { ConnectionLostError } from "../errors.ts";
import type { Address } from "./cancel.ts";
import type { CancelLine, CancelRequest, Watched } from "./cancel-line.ts";
import { type Done, Exchange, type Plans, type Prepared } from "./exchange.ts";
import { Packet } from "./packet.ts";
import type { RowReader } from "./rows.ts";
import { setsByFunction } from "./session-changes.ts";
import type { PgClient, ServerError } from "./shape.ts";
import type { TypeTable } from "./values.ts";
import { Wire, type WireField, type WireListener } from "./wire.ts";

/** Prepared statements that a session keeps; the one that was used least lately goes. */
const MOST_PREPARED = 100;
/** Seconds that a polite good-bye may take. */
const FAREWELL = 1;

export interface PgConnectionOptions {
  readonly types: TypeTable;
  readonly address: Address;
  readonly reset: string;
  /** The settings that are asked for at the start of a session, and the SET that says each again. */
  readonly asked?: ReadonlyMap<string, string> | undefined;
  /** The settings that the server has told so far. */
  readonly parameters: Map<string, string>;
  /** The line of its server. */
  readonly cancels: Pick<CancelLine, "send" | "begun" | "unwatch">;
  /** Throws if a text must not be sent, because its server cannot survive it. */
  readonly refuse?: ((text: string) => void) | undefined;
}

/** What tells plans apart: rows may be read in several ways. */
function keyOf({ text, arrays, parsers }: Statement): string {
  const key = arrays === true ? `${text}\0arrays` : text;
  return parsers === undefined ? key : `${key}\0parsers`;
}

/**
 * The name of a statement is made of its text: behind a pooler one server has many clients, and what
 * another one has prepared under this name is the same.
 */
function nameOf(key: string): string {
  return `a_${createHash("sha256").update(key).digest("base64url").slice(0, 22)}`;
}

/** What all sessions put their messages together in: each is sent in the call. */
const packet: Packet = new Packet();

const NOTHING: readonly string[] = [];

/** A session of PostgreSQL. */
export class PgConnection implements DriverConnection, Plans, WireListener, Watched {
  readonly label: string;
  readonly joins = true;
  reset: string;
  status: Status = "idle";
  running = 0;
  lost: Error | undefined = undefined;
  onLost: ((reason: Error) => void) | undefined = undefined;
  onNotification: ((channel: string, payload: string) => void) | undefined = undefined;
  readonly wire: Wire;
  readonly packet: Packet = packet;
  readonly types: TypeTable;
  readonly cursors: Map<string, RowReader> = new Map();
  readonly #client: PgClient;
  readonly #options: PgConnectionOptions;
  readonly #prepared: Map<string, Prepared> = new Map();
  /** How many times plans were used so far. */
  #uses = 0;
  /** How many requests were made so far. */
  #requests = 0;
  /** The exchange that the server works on. */
  #exchange: Exchange | undefined = undefined;
  #cancel: CancelRequest | undefined = undefined;
  /** True iff a statement has changed the session since it was opened or reset. */
  #isTouched = false;
  /** True while the server brings the session back: what it tells then is not the last word. */
  #isResetting = false;
  /** Settings that differ from what they were then, as the server tells. */
  readonly #changed: Map<string, string> = new Map();
  /** What the server said before it closed the connection. */
  #lastWords: ServerError | undefined = undefined;
  #gone: () => void = () => {};
  readonly #isGone: Promise<void>;

  /** @param client - connected, and idle */
  constructor(client: PgClient, options: PgConnectionOptions) {
    this.#client = client;
    this.#options = options;
    this.types = options.types;
    this.reset = options.reset;
    this.wire = new Wire(client.connection.stream, this);
    this.label = `session ${client.processID} of ${describeAddress(options.address)}`;
    this.#isGone = new Promise((resolve) => {
      this.#gone = resolve;
    });
    client.on("error", (error: ServerError) => {
      // Without a code it is pg's own, and says no more than that the connection was closed.
      if (error.code !== undefined) this.#lastWords ??= error;
      this.#lose(this.#lossOf(undefined));
    });
    client.connection.on("end", () => this.#ended());
    if (this.wire.stream.destroyed) this.#ended(); // in the steps since it was connected
  }

  /** The number of the server's process. */
  get processId(): number {
    return this.#client.processID ?? 0;
  }

  run(request: Request, done: Done, before: readonly string[] = NOTHING): void {
    if (this.lost !== undefined) {
      done(this.lost, []);
      return;
    }
    this.running = ++this.#requests;
    this.#options.cancels.begun();
    this.#isResetting = request.kind === "script" && request.text === this.reset;
    const told = this.#isResetting ? this.#afterReset(done) : done;
    this.again(new Exchange(request, before, told, this));
  }

  get isTouched(): boolean {
    return this.#isTouched || this.#changed.size > 0;
  }

  touched(): void {
    this.#isTouched = true;
  }

  /** What it is now is what whoever borrows it has to find. */
  markAsOpened(): void {
    this.#isTouched = false;
    for (const [name, value] of this.#changed) this.#options.parameters.set(name, value);
    this.#changed.clear();
  }

  /**
   * What is asked for at the start of a session, `reset all` brings back. A pooler says it by a SET,
   * and behind one it is gone after the reset. So the reset says it from then on, and is made once
   * more.
   */
  #afterReset(done: Done): Done {
    return (error, answers) => {
      this.#isResetting = false;
      const { asked = [] } = this.#options;
      const gone = [...asked].filter(([name]) => this.#changed.has(name)).map(([, set]) => set);
      const unsaid = gone.filter((set) => !this.reset.includes(set));
      if (error === undefined && unsaid.length > 0) {
        this.reset = [this.reset, ...unsaid].join("; ");
        this.run({ kind: "script", text: this.reset }, done);
        return;
      }
      this.#checkEncoding();
      if (error === undefined) this.markAsOpened();
      done(this.lost ?? error, answers);
    };
  }

  refuse(text: string): void {
    this.#options.refuse?.(text);
  }

  cancel(): Promise<void> {
    const { processID, secretKey } = this.#client;
    if (processID === null || secretKey === null)
      return Promise.reject(new Error("the server has given no key to cancel with"));
    const request = this.#options.cancels.send(processID, secretKey);
    this.#cancel = request;
    return request.ended;
  }

  pause(): void {
    this.wire.stream.pause();
  }

  resume(): void {
    this.wire.stream.resume();
  }

  async close(): Promise<void> {
    if (this.lost === undefined) {
      const timer = setTimeout(() => this.wire.cut(), FAREWELL * 1000);
      this.lost = new ConnectionLostError(`${this.label} is closed`);
      this.#options.cancels.unwatch(this);
      this.#client.end(() => {});
      await this.#isGone;
      clearTimeout(timer);
    } else await this.#isGone;
  }

  destroy(reason: Error): void {
    this.wire.cut();
    this.#cancel?.destroy();
    this.#lose(reason);
  }

  preparedAs(statement: Statement): { readonly known: boolean; readonly prepared: Prepared } {
    const key = keyOf(statement);
    const known = this.#prepared.get(key);
    if (known !== undefined) {
      known.usedAt = ++this.#uses;
      return { known: true, prepared: known };
    }
    const prepared = {
      name: nameOf(key),
      reader: undefined,
      usedAt: ++this.#uses,
      isSetting: setsByFunction(statement.text),
    };
    this.#prepared.set(key, prepared);
    return { known: false, prepared };
  }

  keep(statement: Statement, prepared: Prepared): void {
    this.#prepared.set(keyOf(statement), prepared);
  }

  evicted(): string | undefined {
    if (this.#prepared.size <= MOST_PREPARED) return undefined;
    let oldest: readonly [string, Prepared] | undefined;
    for (const entry of this.#prepared)
      if (oldest === undefined || entry[1].usedAt < oldest[1].usedAt) oldest = entry;
    if (oldest !== undefined) this.#prepared.delete(oldest[0]);
    return oldest?.[1].name;
  }

  forget(statement: Statement): void {
    this.#prepared.delete(keyOf(statement));
  }

  again(exchange: Exchange): void {
    this.#exchange = exchange;
    exchange.send();
  }

  forgetAll(): void {
    this.#prepared.clear();
  }

  // --- what comes from the server

  parseComplete(): void {
    this.#exchange?.parseComplete();
  }
  rowDescription(key: string, read: () => WireField[]): void {
    this.#exchange?.rowDescription(key, read);
  }
  dataRow(bytes: Buffer, at: number): void {
    this.#exchange?.dataRow(bytes, at);
  }
  portalSuspended(): void {
    this.#exchange?.portalSuspended();
  }
  emptyQuery(): void {
    this.#exchange?.emptyQuery();
  }
  commandComplete(tag: string): void {
    this.#exchange?.commandComplete(tag);
  }
  copyIn(): void {
    this.#exchange?.copyIn();
  }
  copyData(bytes: Buffer): void {
    this.#exchange?.copyData(bytes);
  }
  notification(channel: string, payload: string): void {
    this.onNotification?.(channel, payload);
  }
  parameterStatus(name: string, value: string): void {
    if (this.#options.parameters.get(name) === value) this.#changed.delete(name);
    else this.#changed.set(name, value);
    if (!this.#isResetting) this.#checkEncoding();
  }

  #checkEncoding(): void {
    const encoding = this.#changed.get("client_encoding") ?? "UTF8";
    if (encoding !== "UTF8")
      this.#lose(new ConnectionLostError(`${this.label} was cut off: ${encodingOf(encoding)}`));
  }

  refused(error: ServerError): void {
    if (this.#exchange !== undefined) {
      this.#exchange.refused(error);
      return;
    }
    // Nothing was asked: it is why the server ends the session.
    this.#lastWords ??= error;
    this.#lose(this.#lossOf(undefined));
  }

  garbled(error: Error): void {
    this.#lose(this.#lossOf(error));
  }

  readyForQuery(status: string): void {
    this.status = status === "I" ? "idle" : status === "T" ? "transaction" : "failed";
    this.running = 0;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.finish();
  }

  #ended(): void {
    this.#gone();
    this.#lose(this.#lossOf(undefined));
  }

  #lossOf(error: Error | undefined): Error {
    const words = this.#exchange?.refusal ?? this.#lastWords ?? error;
    const why = words === undefined ? "the server has closed it" : words.message;
    const sqlstate = (words as ServerError | undefined)?.severity && (words as ServerError).code;
    const options = words === undefined ? {} : { cause: words, sqlstate: sqlstate || undefined };
    return new ConnectionLostError(`the connection to the database is lost: ${why}`, options);
  }

  #lose(reason: Error): void {
    const isNews = this.lost === undefined;
    this.lost ??= reason;
    this.running = 0;
    this.#options.cancels.unwatch(this);
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (isNews) this.wire.cut();
    exchange?.lost(this.lost);
    if (isNews) this.onLost?.(this.lost);
  }
}

/** What is sent is UTF-8 whatever the server believes, so it would store other letters. */
function encodingOf(value: string): string {
  return `a query has set client_encoding to ${value}, and texts are sent as UTF-8. Leave it as it is, and use \`convert_to\` for bytes of another encoding`;
}

function describeAddress(address: Address): string {
  return "path" in address ? address.path : `${address.host}:${address.port}`;
}
