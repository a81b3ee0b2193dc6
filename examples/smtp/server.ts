// The receiving side of SMTP. What there is to learn from it:
//
// - A server that says 250 is responsible for the message from then on. So that is said when
//   `deliver` has ended, and not before; until then the client keeps the message, and nothing that
//   happens here can lose it.
// - Ctrl-C may come in the middle of that. A cancellation ends every wait of a session but this
//   one: `deliver` runs in a `cleanup`, which it does not reach, with a deadline of its own. The
//   client gets its answer, the next wait is cancelled, and the session says good-bye.
// - A deadline for each command, one for each message as a whole, since a byte now and then would
//   be in time for all of them; limits for lines, messages, recipients, and for mistakes.
// - STARTTLS in the middle of a session. What came before it is forgotten, and what a client (or
//   an attacker between) has sent ahead of the handshake is never taken for what came under TLS.

import * as asyncio from "asyncio-ts";
import { isNetworkError } from "../command-line.ts";
import { isAddress, type Mail, Nonsense, Refusal, readLine, readText } from "./wire.ts";

export interface SmtpOptions {
  readonly hostname: string;
  /** Whether mail for this address is taken. A server that says yes to all is an open relay. */
  readonly accepts: (recipient: string) => boolean;
  /** Takes over the responsibility for a message; a Refusal tells the client why not. */
  readonly deliver: (mail: Mail) => Promise<void>;
  readonly tls?: asyncio.ServerTlsOptions | undefined;
  /** No mail without STARTTLS. @default false */
  readonly requireTls?: boolean | undefined;
  /** @default 10,000,000 */
  readonly maxBytes?: number | undefined;
  /** @default 100 */
  readonly maxRecipients?: number | undefined;
  /** Seconds that a client may be silent, from RFC 5321, 4.5.3.2. @default 300 */
  readonly commandSeconds?: number | undefined;
  /** Seconds for the text of a message. @default 600 */
  readonly textSeconds?: number | undefined;
  /** Seconds that `deliver` may take, also when the server goes down meanwhile. @default 20 */
  readonly deliverSeconds?: number | undefined;
  /** Is told of each message that was taken or refused. */
  readonly onMail?: ((mail: Mail, refusal?: Refusal) => void) | undefined;
}

/** Wrong commands in one session, after which it ends. */
const MOST_MISTAKES = 10;
/** Seconds that a client has to read why the session ends. */
const LAST_WORDS = 5;

/** Serves one client; for `startServer`. */
export function serveSmtp(options: SmtpOptions): asyncio.ConnectionHandler {
  return async (reader, writer) => {
    try {
      await new Session(options, reader, writer).run();
    } catch (error) {
      // A client that vanishes still has its message, and would not read an answer.
      if (error instanceof asyncio.IncompleteReadError || isNetworkError(error)) return;
      const [code, text] = lastWords(error);
      void writer.write(`${code} ${options.hostname} ${text}\r\n`);
      writer.close();
      if ((await asyncio.cleanup(LAST_WORDS, () => gone(writer))) !== true) writer.abort();
      if (!(error instanceof asyncio.TimeoutError || error instanceof Nonsense)) throw error;
    }
  };
}

function lastWords(error: unknown): readonly [code: number, text: string] {
  if (error instanceof asyncio.CancelledError) return [421, "goes down, come again later"];
  if (error instanceof asyncio.TimeoutError) return [421, "has waited long enough"];
  if (error instanceof Nonsense) return [error.code, error.message];
  return [451, "has made a mistake, try again"];
}

async function gone(writer: asyncio.StreamWriter): Promise<true> {
  await writer.waitClosed().catch((error: unknown) => {
    if (!isNetworkError(error)) throw error;
  });
  return true;
}

class Session {
  readonly #options: SmtpOptions;
  readonly #reader: asyncio.StreamReader;
  readonly #writer: asyncio.StreamWriter;
  #client: string | undefined = undefined;
  #isSecure = false;
  #from: string | undefined = undefined;
  #to: string[] = [];
  #mistakes = 0;

  constructor(options: SmtpOptions, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) {
    this.#options = options;
    this.#reader = reader;
    this.#writer = writer;
  }

  async run(): Promise<void> {
    const { commandSeconds = 300, hostname } = this.#options;
    await this.#reply(220, `${hostname} ESMTP`);
    for (;;) {
      const line = await asyncio.timeout(commandSeconds, () => readLine(this.#reader));
      if (line === undefined) return;
      const [, verb = "", rest = ""] =
        /^(\w+) ?(.*)$/.exec(new TextDecoder("latin1").decode(line)) ?? [];
      try {
        await this.#obey(verb.toUpperCase(), rest.trim());
      } catch (error) {
        if (!(error instanceof Refusal) || error instanceof Nonsense) throw error;
        await this.#reply(error.code, error.message);
        if (++this.#mistakes >= MOST_MISTAKES) throw new Nonsense(421, "too many mistakes");
      }
      if (verb.toUpperCase() === "QUIT") return;
    }
  }

  async #obey(verb: string, rest: string): Promise<void> {
    switch (verb) {
      case "HELO":
      case "EHLO":
        return await this.#greet(verb === "EHLO", rest);
      case "STARTTLS":
        return await this.#startTls();
      case "MAIL":
        return await this.#mail(/^FROM: *<(.*?)>(.*)$/i.exec(rest));
      case "RCPT":
        return await this.#recipient(/^TO: *<(.*?)>/i.exec(rest)?.[1]);
      case "DATA":
        return await this.#data();
      case "RSET":
        this.#forget();
        return await this.#reply(250, "forgotten");
      case "NOOP":
        return await this.#reply(250, "still here");
      case "VRFY":
        return await this.#reply(252, "send it, and see");
      case "QUIT":
        return await this.#reply(221, `${this.#options.hostname} good-bye`);
      default:
        throw new Refusal(500, "no such command");
    }
  }

  async #greet(isExtended: boolean, client: string): Promise<void> {
    if (client === "") throw new Refusal(501, "who are you?");
    this.#forget();
    this.#client = client;
    const { hostname, maxBytes = 10_000_000, tls } = this.#options;
    const more = ["PIPELINING", "8BITMIME", `SIZE ${maxBytes}`];
    if (tls !== undefined && !this.#isSecure) more.push("STARTTLS");
    await this.#reply(250, hostname, ...(isExtended ? more : []));
  }

  async #startTls(): Promise<void> {
    const { tls, commandSeconds = 300 } = this.#options;
    if (tls === undefined || this.#isSecure) throw new Refusal(502, "not here");
    void this.#reply(220, "go ahead"); // startTls waits until it has left
    try {
      await asyncio.timeout(commandSeconds, () => this.#writer.startTls(tls));
    } catch (error) {
      const isOurs =
        error instanceof asyncio.CancelledError || error instanceof asyncio.TimeoutError;
      if (isOurs || !this.#writer.isClosing()) throw error;
      throw new Nonsense(454, "that was no TLS"); // the connection went with the handshake
    }
    this.#isSecure = true;
    this.#client = undefined;
    this.#forget();
  }

  async #mail(match: RegExpExecArray | null): Promise<void> {
    const { requireTls = false, maxBytes = 10_000_000 } = this.#options;
    const [, from, parameters = ""] = match ?? [];
    if (this.#client === undefined) throw new Refusal(503, "EHLO comes first");
    if (requireTls && !this.#isSecure) throw new Refusal(530, "STARTTLS comes first");
    if (this.#from !== undefined) throw new Refusal(503, "one at a time");
    if (from === undefined || (from !== "" && !isAddress(from)))
      throw new Refusal(501, "MAIL FROM:<address>");
    const [, size = "0"] = /\bSIZE=(\d+)/i.exec(parameters) ?? [];
    if (Number(size) > maxBytes) throw new Refusal(552, `a message has at most ${maxBytes} bytes`);
    this.#from = from;
    await this.#reply(250, "go on");
  }

  async #recipient(to: string | undefined): Promise<void> {
    const { accepts, maxRecipients = 100 } = this.#options;
    if (this.#from === undefined) throw new Refusal(503, "MAIL comes first");
    if (to === undefined || !isAddress(to)) throw new Refusal(501, "RCPT TO:<address>");
    if (!accepts(to)) throw new Refusal(550, `no mail for ${to} here`);
    if (this.#to.length >= maxRecipients) throw new Refusal(452, "no more recipients");
    this.#to.push(to);
    await this.#reply(250, "go on");
  }

  async #data(): Promise<void> {
    const { maxBytes = 10_000_000, textSeconds = 600 } = this.#options;
    const [from, to] = [this.#from, this.#to];
    if (from === undefined || to.length === 0) throw new Refusal(503, "RCPT comes first");
    await this.#reply(354, "send it, and a line with one dot");
    this.#forget();
    const data = await asyncio.timeout(textSeconds, () => readText(this.#reader, maxBytes));
    await this.#handOver({ from, to, data });
    await this.#reply(250, "taken");
  }

  async #handOver(mail: Mail): Promise<void> {
    const { deliver, deliverSeconds = 20, onMail } = this.#options;
    try {
      const isDone = await asyncio.cleanup(deliverSeconds, () => deliver(mail).then(() => true));
      if (isDone !== true) throw new Refusal(451, `no answer in ${deliverSeconds} s, try again`);
      onMail?.(mail);
    } catch (error) {
      if (error instanceof Refusal) onMail?.(mail, error);
      throw error;
    }
  }

  #forget(): void {
    this.#from = undefined;
    this.#to = [];
  }

  /**
   * A write takes its bytes even where a cancellation is due. What has a deadline is the wait for
   * room.
   */
  #reply(code: number, ...lines: readonly string[]): Promise<void> {
    const last = lines.length - 1;
    const text = lines
      .map((line) => line.replace(/[\r\n]+/g, " ")) // it may come from another server, or from an error
      .map((line, index) => `${code}${index < last ? "-" : " "}${line}\r\n`);
    const written = this.#writer.write(text.join(""));
    const { commandSeconds = 300 } = this.#options;
    return asyncio.timeout(commandSeconds, () => written);
  }
}
