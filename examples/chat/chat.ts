// A chat in rooms, line by line. What there is to learn from it:
//
// - One task group for each member: one task reads what the member says, another writes what the
//   others say. When one of them ends, so does the other, and the member has left.
// - A member who does not read must not hold the others up. What is said to a member goes into an
//   outbox, a bounded queue, without waiting. When it is full, the member is dropped.
// - Leaving is written once: there is one `finally`, and it runs however a member goes: by /quit,
//   by closing the connection, by a reset, by being dropped, or because the server ends.

import * as asyncio from "asyncio-ts";
import { isNetworkError } from "../command-line.ts";

export interface ChatOptions {
  /** Messages that may wait for one member; one more, and the member is dropped. */
  readonly outbox?: number | undefined;
}

const LOBBY = "lobby";
const HELP = "/nick NAME, /join ROOM, /rooms, /who, /quit; anything else is said in your room";

class Member {
  name: string;
  room = LOBBY;
  isDropped = false;
  /** True if nothing more is told to the member. */
  #isLeaving = false;
  readonly #outbox: asyncio.Queue<string>;
  readonly #writer: asyncio.StreamWriter;

  constructor(name: string, writer: asyncio.StreamWriter, outbox: number) {
    this.name = name;
    this.#writer = writer;
    this.#outbox = new asyncio.Queue(outbox, { name });
  }

  /** Never waits. */
  tell(line: string): void {
    if (this.#isLeaving) return;
    if (this.#outbox.full()) this.drop();
    else this.#outbox.putNowait(line);
  }

  /** What is in the outbox still goes out; then the member is let go. */
  leave(): void {
    this.#isLeaving = true;
    this.#outbox.shutdown();
  }

  /** The connection is aborted: this ends the member's tasks wherever they wait. */
  drop(): void {
    this.#isLeaving = this.isDropped = true;
    this.#writer.abort();
  }

  /**
   * Writes what the member is told, at the pace at which the member reads, until nothing more
   * comes.
   */
  async deliver(): Promise<void> {
    for await (const line of this.#outbox) await this.#writer.write(`${line}\n`);
  }
}

export class Chat {
  readonly #members: Set<Member> = new Set();
  readonly #outbox: number;
  #guests = 0;
  #isEnding = false;

  constructor({ outbox = 100 }: ChatOptions = {}) {
    this.#outbox = outbox;
  }

  /** Serves one connection; for `startServer`. */
  readonly serve: asyncio.ConnectionHandler = async (reader, writer) => {
    const member = new Member(`guest-${++this.#guests}`, writer, this.#outbox);
    this.#members.add(member);
    member.tell(`* welcome, ${member.name}. ${HELP}`);
    this.#tellRoom(member, `* ${member.name} has come`);
    if (this.#isEnding) member.leave();
    try {
      await asyncio.taskGroup(async (group) => {
        group.createTask(async () => {
          await this.#listen(member, reader);
          member.leave();
        });
        await member.deliver();
        group.cancel(); // a member who cannot be answered is not listened to any more
      });
    } catch (error) {
      if (!isNetworkError(error)) throw error; // a connection that breaks is a member who leaves
    } finally {
      this.#members.delete(member);
      this.#tellRoom(member, `* ${member.name} ${member.isDropped ? "was too slow" : "has left"}`);
    }
  };

  /** Says good-bye: each member gets what is in the outbox, and is let go. */
  end(): void {
    this.#isEnding = true;
    for (const member of this.#members) {
      member.tell("* the server goes down");
      member.leave();
    }
  }

  async #listen(member: Member, reader: asyncio.StreamReader): Promise<void> {
    try {
      for await (const line of reader.lines()) {
        if (line === "/quit") return;
        this.#hear(member, line);
      }
    } catch (error) {
      if (!(error instanceof asyncio.LimitOverrunError)) throw error;
      member.tell(`* lines have at most ${reader.limit} bytes. Good-bye`);
    }
  }

  #hear(member: Member, line: string): void {
    const [, command, argument = ""] = /^\/(\w+) *(.*)$/.exec(line) ?? [];
    if (command === undefined) {
      if (line !== "") this.#tellRoom(member, `<${member.name}> ${line}`);
    } else if (command === "nick") this.#rename(member, argument);
    else if (command === "join") this.#move(member, argument);
    else if (command === "rooms") member.tell(`* rooms: ${this.#rooms().join(", ")}`);
    else if (command === "who") member.tell(`* here: ${this.#namesIn(member.room).join(", ")}`);
    else member.tell(`* there is no /${command}. ${HELP}`);
  }

  #rename(member: Member, name: string): void {
    const isTaken = [...this.#members].some((other) => other.name === name);
    if (!/^[\w-]{1,20}$/.test(name)) member.tell("* a name has 1 to 20 letters, digits, - and _");
    else if (isTaken) member.tell(`* ${name} is taken`);
    else {
      const line = `* ${member.name} is now ${name}`;
      member.name = name;
      member.tell(line);
      this.#tellRoom(member, line);
    }
  }

  #move(member: Member, room: string): void {
    if (!/^[\w-]{1,20}$/.test(room)) {
      member.tell("* a room has 1 to 20 letters, digits, - and _");
      return;
    }
    this.#tellRoom(member, `* ${member.name} has left`);
    member.room = room;
    member.tell(`* you are in ${room}`);
    this.#tellRoom(member, `* ${member.name} has come`);
  }

  /** Tells all members in the room of `speaker`, except the speaker. */
  #tellRoom(speaker: Member, line: string): void {
    for (const member of this.#members)
      if (member !== speaker && member.room === speaker.room) member.tell(line);
  }

  #rooms(): string[] {
    return [...new Set([...this.#members].map(({ room }) => room))].sort();
  }

  #namesIn(room: string): string[] {
    return [...this.#members].filter((member) => member.room === room).map(({ name }) => name);
  }
}
