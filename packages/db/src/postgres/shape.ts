/**
 * What is used of `pg` beyond its documented calls: the stream of a connected client, which is taken
 * over, and the key of its session. A test holds a release of pg against it.
 */

import type { Socket } from "node:net";

/** The client, which connects and proves who we are. */
export interface PgClient {
  readonly connection: {
    readonly stream: Socket;
    on(event: string, listener: (message: never) => void): unknown;
  };
  /** The number of the server's process, and the key that a cancel has to bring. */
  readonly processID: number | null;
  readonly secretKey: number | null;
  connect(callback: (error: Error | null | undefined) => void): void;
  end(callback: () => void): void;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** What the server says when it refuses something: pg's own DatabaseError. */
export interface ServerError extends Error {
  readonly code?: string;
  readonly severity?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly constraint?: string;
  readonly table?: string;
  readonly column?: string;
  /** The function of the server that has refused it. */
  readonly routine?: string;
}
