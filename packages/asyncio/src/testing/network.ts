/**
 * A network in memory, in the time of the loop: hosts by name, connections with latency, partitions
 * and resets, and datagrams that get lost. A server and its clients run in one test, and are
 * explored and swept together.
 *
 * What one end of a connection sends arrives in order, each piece after the latency of its link
 * (network-line.ts). A link that is cut holds the pieces back, as TCP does by sending again, until
 * it is healed; datagrams that come to a cut link are lost.
 *
 * Sources: Turmoil (Tokio), FoundationDB's simulation.
 */

import {
  argumentError,
  checkOptions,
  checkSeconds,
  checkText,
  rangeError,
} from "../errors/errors.ts";
import type { Names } from "../errors/options.ts";
import type { EventLoop } from "../kernel/loop.ts";
import { here } from "../kernel/operation.ts";
import type { Wait } from "../kernel/wait.ts";
import { MemoryStream, Pipe, resetBoth } from "../streams/memory-stream.ts";
import {
  type Address,
  type ByteStream,
  comparableHost,
  type Datagram,
  describeAddress,
  hostError,
} from "../streams/network.ts";
import { type ChunkPolicy, checkCuts, cutterFor } from "./memory-stream.ts";
import type { DatagramEnd } from "./network-ends.ts";
import { Line } from "./network-line.ts";
import { drawer } from "./random.ts";
import { SimulatedHost } from "./simulated-host.ts";

/** What `new SimulatedNetwork` takes. */
export interface NetworkOptions {
  /** Seconds from host to host: the same for each piece, or drawn between two. @default 0 */
  readonly latency?: number | readonly [least: number, most: number] | undefined;
  /** The part of the datagrams that gets lost, 0 to 1. @default 0 */
  readonly loss?: number | undefined;
  /** Where reads cut what has arrived. @default "whole" */
  readonly chunks?: ChunkPolicy | undefined;
  /** Bytes on their way above which a `write` waits. @default 65,536 */
  readonly highWaterMark?: number | undefined;
  /** Draws latency, loss and cuts: the same ones for the same seed. @default 0 */
  readonly seed?: number | undefined;
}

const KNOWN: Names<NetworkOptions> = { latency: 1, loss: 1, chunks: 1, highWaterMark: 1, seed: 1 };

interface Connection {
  readonly hosts: readonly [string, string];
  readonly ends: readonly MemoryStream[];
  reset(): void;
}

/**
 * Hosts, links, and what may go wrong with them. All times are those of the running loop.
 *
 * @example
 * await testing.runTest(async (t) => {
 *   const network = new testing.SimulatedNetwork({ latency: 0.05 });
 *   const listener = await network.host("server").listen(80);
 *   const client = await network.host("client").connect({ host: "server", port: 80 });
 *   const server = await listener.accept();
 *   await client.write(new Uint8Array([1, 2]));
 *   assert.deepEqual(await server.read(), new Uint8Array([1, 2]));
 *   // There and back for the connection, and there for the bytes.
 *   assert.equal(t.now.toFixed(2), "0.15");
 *   for (const end of [client, server, listener]) end.close();
 * });
 */
export class SimulatedNetwork {
  readonly #options: NetworkOptions;
  readonly #draw: (count: number) => number;
  readonly #hosts: Map<string, SimulatedHost> = new Map();
  /** Hosts by the names that `alias` gave them. */
  readonly #aliases: Map<string, readonly string[]> = new Map();
  /** Pairs of hosts between which nothing goes, and whether datagrams get lost there. */
  readonly #cuts: Map<string, { readonly loses: boolean }> = new Map();
  /** What wants to go over a cut link. */
  readonly #waiting: Map<string, (() => void)[]> = new Map();
  readonly #connections: Set<Connection> = new Set();

  constructor(options: NetworkOptions = {}) {
    const api = "`new SimulatedNetwork`";
    checkOptions(api, options, KNOWN);
    const { latency = 0, loss = 0, seed = 0 } = options;
    checkLatency(api, latency);
    checkSeconds(api, "`loss` from 0 to 1", loss);
    if (!(loss >= 0 && loss <= 1)) throw rangeError(api, "`loss` from 0 to 1", loss);
    checkCuts(api, options);
    this.#options = options;
    this.#draw = drawer(seed);
  }

  /** The host of that name, made when it is first asked for. */
  host(name: string): SimulatedHost {
    checkText("`network.host`", "a name", name);
    let host = this.#hosts.get(name);
    if (host === undefined) {
      host = new SimulatedHost(this, name);
      this.#hosts.set(name, host);
    }
    return host;
  }

  /**
   * Gives a `name` to several `hosts`, in the order in which a client is to try them:
   * `network.alias("db", ["2001:db8::1", "192.0.2.1"])`. Those that do not exist yet are made.
   */
  alias(name: string, hosts: readonly string[]): void {
    checkText("`network.alias`", "a name", name);
    if (!Array.isArray(hosts)) throw argumentError("`network.alias`", "an array of hosts", hosts);
    this.#aliases.set(
      name,
      [...hosts].map((host) => this.host(host).name),
    );
  }

  /** Cuts the link of the hosts `a` and `b`: connections stall, datagrams get lost. */
  partition(a: string, b: string): void {
    this.#cuts.set(linkOf(a, b, "`network.partition`"), { loses: true });
  }

  /** Stops everything on the link of the hosts `a` and `b`, datagrams too, until it is healed. */
  hold(a: string, b: string): void {
    this.#cuts.set(linkOf(a, b, "`network.hold`"), { loses: false });
  }

  /** Lets everything through again between `a` and `b`, after `partition` or `hold`. */
  heal(a: string, b: string): void {
    const link = linkOf(a, b, "`network.heal`");
    this.#cuts.delete(link);
    const waiting = this.#waiting.get(link) ?? [];
    this.#waiting.delete(link);
    for (const go of waiting) go();
  }

  /** Resets every connection between the hosts `a` and `b`: both ends get ECONNRESET, at once. */
  reset(a: string, b: string): void {
    const link = linkOf(a, b, "`network.reset`");
    for (const connection of [...this.#connections])
      if (linkOf(...connection.hosts) === link) connection.reset();
  }

  /**
   * The host goes down. Its connections are reset and its listeners are gone. A client that
   * connects to it waits for ever.
   */
  crash(name: string): void {
    for (const connection of [...this.#connections])
      if (connection.hosts.includes(name)) connection.reset();
    this.host(name).crash();
  }

  /** The host comes up again, with nothing on it. */
  restart(name: string): void {
    this.host(name).isUp = true;
    for (const other of this.#hosts.keys())
      if (!this.#cuts.has(linkOf(name, other))) this.heal(name, other);
  }

  /** @internal */
  has(name: string): boolean {
    return this.#hosts.has(name);
  }

  /** @internal */
  addressesOf(name: string): readonly string[] | undefined {
    const exact = this.#aliases.get(name) ?? (this.has(name) ? [name] : undefined);
    if (exact !== undefined) return exact;
    const wanted = comparableHost(name);
    const names = [...this.#aliases.keys(), ...this.#hosts.keys()];
    const other = names.find((one) => comparableHost(one) === wanted);
    return other === undefined ? undefined : (this.#aliases.get(other) ?? [other]);
  }

  /** @internal Seconds for one piece. */
  drawLatency(): number {
    const { latency = 0 } = this.#options;
    if (typeof latency === "number") return latency;
    const [least, most] = latency;
    return least + ((most - least) * this.#draw(1000)) / 1000;
  }

  /**
   * @internal Sends a datagram, which may get lost, as may the news that no program listens there.
   */
  post(datagram: Datagram, to: Address, refused?: () => void): void {
    const { loop } = here();
    const { host } = datagram.from;
    this.#throw(loop, host, to.host, () => {
      const socket = this.#socketAt(to);
      if (socket !== undefined) socket.arrived(datagram);
      else if (refused !== undefined) this.#throw(loop, to.host, host, refused);
    });
  }

  /** @internal Sends a datagram to every other host. */
  postToAll(datagram: Datagram, port: number): void {
    for (const host of this.#hosts.keys())
      if (host !== datagram.from.host) this.post(datagram, { host, port });
  }

  /** Calls `arrive` at the other end of a link, unless it gets lost on the way. */
  #throw(loop: EventLoop, from: string, to: string, arrive: () => void): void {
    if (this.#loses(from, to)) return;
    this.deliver(loop, from, to, loop.time() + this.drawLatency(), arrive);
  }

  #loses(from: string, to: string): boolean {
    const { loss = 0 } = this.#options;
    if (loss > 0 && this.#draw(1_000_000) < loss * 1_000_000) return true;
    return this.#cuts.get(linkOf(from, to))?.loses === true || !this.has(to);
  }

  #socketAt({ host, port }: Address): DatagramEnd | undefined {
    return this.#hosts.get(host)?.socketAt(port);
  }

  /**
   * @internal Calls `arrive` at `when`, or as soon after that as the link is whole and the host up.
   */
  deliver(loop: EventLoop, from: string, to: string, when: number, arrive: () => void): void {
    const go = (): void => {
      const link = linkOf(from, to);
      const isBlocked = this.#cuts.has(link) || this.#hosts.get(to)?.isUp === false;
      if (!isBlocked) arrive();
      else this.#waiting.set(link, [...(this.#waiting.get(link) ?? []), go]);
    };
    if (when <= loop.time()) go();
    else loop.addTimer(when, { timerDue: go });
  }

  /** @internal The way there: a connection is made, or refused; and the way back with the news. */
  open(client: SimulatedHost, to: Address, wait: Wait<ByteStream>): void {
    const { loop } = wait.scope;
    const back = (tell: () => void): void =>
      this.deliver(loop, to.host, client.name, loop.time() + this.drawLatency(), tell);
    this.deliver(loop, client.name, to.host, loop.time() + this.drawLatency(), () => {
      const listener = this.#hosts.get(to.host)?.listenerAt(to);
      if (listener === undefined) {
        back(
          () =>
            void wait.fail(
              hostError(to.path === undefined ? "ECONNREFUSED" : "ENOENT", "connect", to),
            ),
        );
        return;
      }
      if (wait.state !== "parked") return; // it was given up
      const local = { host: client.name, port: client.freePort() };
      const { makeNear, far, reset } = this.#connect(loop, local, to);
      listener.connected(far);
      back(() => {
        if (wait.state === "parked") wait.resume(makeNear());
        else reset(); // given up on the way: this end was never handed out
      });
    });
  }

  #connect(
    loop: EventLoop,
    local: Address,
    remote: Address,
  ): { makeNear: () => MemoryStream; far: MemoryStream; reset: () => void } {
    const { highWaterMark = 65_536 } = this.#options;
    const there = new Pipe(loop, highWaterMark, cutterFor(this.#options));
    const back = new Pipe(loop, highWaterMark, cutterFor(this.#options));
    const nearEnd = {
      name: `stream ${describeAddress(local)} to ${describeAddress(remote)}`,
      localAddress: local,
      remoteAddress: remote,
      incoming: back,
      outgoing: there,
      carrier: new Line(loop, this, local.host, remote.host, there, back),
    };
    const far = new MemoryStream(loop, {
      name: `stream ${describeAddress(remote)} to ${describeAddress(local)}`,
      localAddress: remote,
      remoteAddress: local,
      incoming: there,
      outgoing: back,
      carrier: new Line(loop, this, remote.host, local.host, back, there),
    });
    const ends = [far];
    const reset = (): void => {
      this.#connections.delete(connection);
      resetBoth(there, back, hostError("ECONNRESET", "read", remote));
    };
    const connection: Connection = { hosts: [local.host, remote.host], ends, reset };
    for (const old of this.#connections)
      if (old.ends.every(({ isClosing }) => isClosing)) this.#connections.delete(old);
    this.#connections.add(connection);
    const makeNear = (): MemoryStream => {
      const near = new MemoryStream(loop, nearEnd);
      ends.push(near);
      return near;
    };
    return { makeNear, far, reset };
  }
}

/** @throws TypeError in the name of `api`, the call that the names come from. */
function linkOf(a: string, b: string, api = "`network`"): string {
  for (const name of [a, b]) checkText(api, "the names of two hosts", name);
  return JSON.stringify(a < b ? [a, b] : [b, a]);
}

function checkLatency(api: string, latency: unknown): void {
  const expected = "`latency` in seconds, or the least and the most as `[least, most]`";
  const range: unknown[] = Array.isArray(latency) ? latency : [latency, latency];
  if (range.length !== 2) throw argumentError(api, expected, latency);
  for (const seconds of range) checkSeconds(api, expected, seconds);
  const [least, most] = range as [number, number];
  if (!(least >= 0 && least <= most && most < Number.POSITIVE_INFINITY))
    throw rangeError(api, `${expected}, from 0 on`, least > most ? latency : least);
}
