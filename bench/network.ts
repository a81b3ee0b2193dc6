// TCP on the loopback: how many messages a second an echo server answers, and what a connection
// costs that says nothing. One client for all servers, in a process of its own.

import { type Implementation, isGuest, reference } from "./contenders.ts";
import { Conversation } from "./conversation.ts";
import type { ClientPlan, EchoFinding } from "./network/client.ts";
import type { Usage } from "./network/service.ts";
import { inThisFolder } from "./program.ts";
import type { Selection } from "./selection.ts";

const implementations: readonly Implementation[] = [reference, "ours", "asyncio", "uvloop", "go"];

export interface EchoPlan {
  readonly connections: number;
  readonly messageBytes: number;
  readonly tls?: boolean;
  /** Sends the next message before the last one is back; a server may use what copies streams. */
  readonly streams?: boolean;
  /** On each connection, before the clock starts. */
  readonly warmUp: number;
  /** On each connection. */
  readonly messages: number;
}

export interface EchoRound extends EchoFinding {
  readonly messagesPerSecond: number;
  /** What the server has used of the processor for each message. */
  readonly cpuMicroseconds: number;
}

export interface EchoResult {
  readonly plan: EchoPlan;
  /** In the order in which they were measured. */
  readonly rounds: Readonly<Partial<Record<Implementation, readonly EchoRound[]>>>;
}

export interface IdleFinding {
  readonly connections: number;
  readonly heapBytesPerConnection?: number;
  readonly residentBytesPerConnection: number;
}

export type IdleResult = Readonly<Partial<Record<Implementation, IdleFinding>>>;

export async function measureEcho(
  quick: boolean,
  rounds: number,
  selection: Selection,
): Promise<EchoResult> {
  const plan: EchoPlan = quick
    ? { connections: 5, messageBytes: 1024, warmUp: 1, messages: 10 }
    : { connections: 50, messageBytes: 1024, warmUp: 500, messages: 2000 };
  const found: Partial<Record<Implementation, EchoRound[]>> = {};
  for (let round = 0; round < rounds; round++) {
    for (const implementation of wanted(selection)) {
      found[implementation] ??= [];
      found[implementation].push(await echo(implementation, plan, selection));
    }
  }
  return { plan, rounds: found };
}

export async function echo(
  implementation: Implementation,
  plan: EchoPlan,
  selection: Selection,
): Promise<EchoRound> {
  await using pair = await EchoPair.start(implementation, plan, selection);
  await pair.warmUp();
  return await pair.exchange();
}

/** A server, and its client, which has opened its connections. They do nothing unless asked. */
export class EchoPair implements AsyncDisposable {
  readonly #plan: EchoPlan;
  readonly #server: Conversation;
  readonly #client: Conversation;

  private constructor(plan: EchoPlan, server: Conversation, client: Conversation) {
    this.#plan = plan;
    this.#server = server;
    this.#client = client;
  }

  static async start(
    implementation: Implementation,
    plan: EchoPlan,
    selection: Selection,
  ): Promise<EchoPair> {
    const { connections, messageBytes, tls = false, streams = false } = plan;
    await using started = new AsyncDisposableStack();
    const way = tls ? "tls" : streams ? "stream" : undefined;
    const server = started.use(startServer(implementation, selection, way));
    const { port } = (await server.answer()) as { port: number }; // a server says so first
    const client = started.use(startClient({ port, connections, messageBytes, tls, streams }));
    await client.answer();
    started.move();
    return new EchoPair(plan, server, client);
  }

  async warmUp(): Promise<void> {
    await this.#client.ask(String(this.#plan.warmUp));
  }

  async exchange(): Promise<EchoRound> {
    const { connections, messages } = this.#plan;
    const before = (await this.#server.ask("")) as Usage; // this is what it answers
    const finding = (await this.#client.ask(String(messages))) as EchoFinding; // and this the client
    const after = (await this.#server.ask("")) as Usage;
    const all = connections * messages;
    return {
      ...finding,
      messagesPerSecond: all / finding.seconds,
      cpuMicroseconds: ((after.cpuMs - before.cpuMs) * 1000) / all,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

export async function measureIdle(quick: boolean, selection: Selection): Promise<IdleResult> {
  const results: Partial<Record<Implementation, IdleFinding>> = {};
  for (const implementation of wanted(selection))
    results[implementation] = await idle(implementation, quick ? 20 : 10_000, selection);
  return results;
}

async function idle(
  implementation: Implementation,
  connections: number,
  selection: Selection,
): Promise<IdleFinding> {
  await using server = startServer(implementation, selection);
  const { port } = (await server.answer()) as { port: number }; // a server says so first
  // A first client, that speaks and goes, has everything loaded and compiled.
  {
    await using first = startClient({ port, connections: 10, messageBytes: 64 });
    await first.answer();
    await first.ask("5");
  }
  const before = await settled(server, 0);
  await using client = startClient({ port, connections, messageBytes: 64 });
  await client.answer();
  await client.ask("1"); // each was in use, and is idle now
  const after = await settled(server, connections);
  const residentBytesPerConnection = (after.residentBytes - before.residentBytes) / connections;
  if (after.heapBytes === undefined || before.heapBytes === undefined)
    return { connections, residentBytesPerConnection };
  const heapBytesPerConnection = (after.heapBytes - before.heapBytes) / connections;
  return { connections, heapBytesPerConnection, residentBytesPerConnection };
}

/** Asks the server until it has so many connections. */
async function settled(server: Conversation, connections: number): Promise<Usage> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const usage = (await server.ask("")) as Usage; // this is what it answers
    if (usage.connections === connections) return usage;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`a server has not come to ${connections} connections`);
}

function wanted(selection: Selection): readonly Implementation[] {
  return implementations.filter((found) => selection.includes(found));
}

function startServer(
  implementation: Implementation,
  { guests, goProgram }: Selection,
  way?: "tls" | "stream",
) {
  const args = way === undefined ? [] : [way];
  if (implementation === "go") return new Conversation(goProgram("./network/go"), []);
  if (isGuest(implementation)) {
    const python = guests.get(implementation)?.executable ?? "python3";
    const program = inThisFolder("network/asyncio_server.py");
    return new Conversation(python, [program, implementation, ...args]);
  }
  const program = inThisFolder(`network/${implementation}.ts`);
  return new Conversation(process.execPath, ["--expose-gc", program, ...args]);
}

function startClient(plan: ClientPlan): Conversation {
  const args = [inThisFolder("network/client.ts"), JSON.stringify(plan)];
  return new Conversation(process.execPath, args);
}
