// Who takes part in a run: those who were asked for, as far as the machine has them.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  buildGo,
  type Guests,
  type Implementation,
  isGuest,
  reference,
  wantedGuests,
} from "./contenders.ts";

export class Selection implements Disposable {
  readonly guests: Guests;
  readonly #wanted: readonly string[];
  readonly #goPrograms = new Map<string, string>();
  #folder: string | undefined;

  /** @param wanted - Whom to measure beside the reference; everybody if it is empty. */
  constructor(guests: Guests, wanted: readonly string[]) {
    this.guests = guests;
    this.#wanted = wanted;
  }

  includes(implementation: Implementation): boolean {
    if (implementation === reference) return true;
    if (isGuest(implementation) && !this.guests.has(implementation)) return false;
    return this.#wanted.length === 0 || this.#wanted.includes(implementation);
  }

  /** Who is wanted and not on this machine: "uvloop, go", or "" if all are. */
  missing(): string {
    return wantedGuests(this.#wanted)
      .filter((guest) => !this.guests.has(guest))
      .join(", ");
  }

  /** The executable of a Go program in this folder, built when it is first asked for. */
  readonly goProgram = (source: string): string => {
    const built = this.#goPrograms.get(source);
    if (built !== undefined) return built;
    this.#folder ??= mkdtempSync(join(tmpdir(), "asyncio-bench-go-"));
    const executable = buildGo(source, this.#folder);
    this.#goPrograms.set(source, executable);
    return executable;
  };

  /** Deletes what was built. */
  [Symbol.dispose](): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }
}
