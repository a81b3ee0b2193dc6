/**
 * What is used of `pg` beyond its documented calls. It is what its own cursors and copy streams use:
 * objects that are given to `client.query` and speak the protocol by themselves. A test holds a
 * release of pg against it.
 */

import type { Socket } from "node:net";

/** A connection, as a submittable sees it. */
export interface Wire {
  readonly stream: Socket;
  query(text: string): void;
  parse(message: { name: string; text: string }): void;
  bind(message: {
    portal: string;
    statement: string;
    values: readonly (string | Buffer | null)[];
  }): void;
  describe(message: { type: "P" | "S"; name: string }): void;
  execute(message: { portal: string; rows: number }): void;
  close(message: { type: "P" | "S"; name: string }): void;
  sync(): void;
  sendCopyFromChunk(chunk: Uint8Array): void;
  endCopyFrom(): void;
  sendCopyFail(reason: string): void;
  on(event: string, listener: (message: never) => void): unknown;
}

/** What the client calls when a message comes. */
export interface Submittable {
  submit(wire: Wire): Error | undefined;
  handleRowDescription(message: { readonly fields: readonly WireField[] }): void;
  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void;
  handlePortalSuspended(): void;
  handleEmptyQuery(): void;
  handleCommandComplete(message: { readonly text: string }): void;
  handleReadyForQuery(): void;
  handleError(error: Error): void;
  handleCopyInResponse(wire: Wire): void;
  handleCopyData(message: { readonly chunk: Uint8Array }): void;
}

export interface WireField {
  readonly name: string;
  readonly dataTypeID: number;
}

/** The client. */
export interface PgClient {
  readonly connection: Wire;
  /** The number of the server's process, and the key that a cancel has to bring. */
  readonly processID: number | null;
  readonly secretKey: number | null;
  connect(callback: (error: Error | null | undefined) => void): void;
  query(submittable: Submittable): unknown;
  end(callback: () => void): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(
    event: "notification",
    listener: (message: { readonly channel: string; readonly payload?: string }) => void,
  ): unknown;
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
