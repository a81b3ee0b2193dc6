/** What the adapters have in common: one service that each of them offers with its framework. */

import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";

/** The service: what each path answers. Every function runs in the scope of its request. */
export interface Service {
  /** `GET /hello/:name` */
  hello(name: string): Promise<string>;
  /** `GET /wait` */
  wait(): Promise<string>;
  /** `GET /fail` */
  fail(): Promise<string>;
}

/** A framework that offers the service. */
export type Adapter = (service: Service) => Promise<Running>;

/** A server that listens. */
export interface Running {
  readonly port: number;
  /** Takes no more connections; those that are idle are closed. */
  close(): void;
}

/** Waits until `server` listens. */
export async function running(server: Server): Promise<Running> {
  if (!server.listening) await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { port, close: () => void server.close() };
}
