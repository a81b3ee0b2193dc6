// What becomes of a message: it is handed to the next server, or put into a folder.

import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as asyncio from "asyncio-ts";
import { type HostAndPort, isNetworkError } from "../command-line.ts";
import { isAddress, type Mail, Refusal, readLine, textToSend } from "./wire.ts";

export interface SendOptions extends HostAndPort {
  /** How this side calls itself. */
  readonly hostname: string;
  /** Whom to trust when the other side offers STARTTLS. @default the roots of the host */
  readonly tls?: asyncio.ClientTlsOptions | undefined;
  /** "never" also where it is offered, "always" or else no mail. @default "offered" */
  readonly useTls?: "offered" | "always" | "never" | undefined;
}

/**
 * Hands a message to another server. Resolves when that has taken it for all recipients; any number
 * of them may be refused before, and then it has not got it at all.
 * @throws Refusal with the code of the other server.
 */
export async function send(mail: Mail, options: SendOptions): Promise<void> {
  const wrong = [mail.from, ...mail.to].find((address) => address !== "" && !isAddress(address));
  if (wrong !== undefined) throw new Refusal(501, `${wrong} is no address`);
  const { host, port, hostname, tls = {}, useTls = "offered" } = options;
  await using connection = await asyncio.openConnection({ host, port });
  const client = new Client(connection);
  await client.expect(2);
  let offers = await client.command(2, `EHLO ${hostname}`);
  if (useTls !== "never" && offers.includes("STARTTLS")) {
    await client.command(2, "STARTTLS");
    await startTls(connection.writer, tls, host);
    offers = await client.command(2, `EHLO ${hostname}`);
  } else if (useTls === "always") throw new Refusal(454, `${host} offers no TLS`);
  const size = offers.some((line) => line.startsWith("SIZE")) ? ` SIZE=${mail.data.length}` : "";
  await client.command(2, `MAIL FROM:<${mail.from}>${size}`);
  for (const to of mail.to) await client.command(2, `RCPT TO:<${to}>`);
  await client.command(3, "DATA");
  await connection.writer.write(textToSend(mail.data));
  await client.expect(2); // from here on it is theirs; what comes after is manners
  void connection.writer.write("QUIT\r\n");
}

/** A certificate that does not do is a reason to try again later: it may have just expired. */
async function startTls(
  writer: asyncio.StreamWriter,
  tls: asyncio.ClientTlsOptions,
  host: string,
): Promise<void> {
  try {
    await writer.startTls({ serverHostname: host, ...tls });
  } catch (error) {
    if (error instanceof asyncio.CancelledError) throw error;
    throw new Refusal(454, `no TLS with ${host}: ${(error as Error).message}`);
  }
}

class Client {
  readonly #connection: asyncio.Connection;

  constructor(connection: asyncio.Connection) {
    this.#connection = connection;
  }

  /** Sends a line, and gives the lines of the answer. */
  async command(expected: number, line: string): Promise<string[]> {
    await this.#connection.writer.write(`${line}\r\n`);
    return await this.expect(expected);
  }

  /** Reads an answer whose code begins with `expected`; any other is thrown. */
  async expect(expected: number): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = new TextDecoder().decode(await this.#line());
      const [, code = "", more = "", text = ""] = /^([2-5]\d\d)([ -]?)(.*)$/.exec(line) ?? [];
      if (code === "" || lines.length > 100)
        throw new Refusal(451, "the next server talks nonsense");
      lines.push(text);
      if (more === "-") continue;
      if (code.startsWith(String(expected))) return lines;
      throw new Refusal(Number(code) >= 400 ? Number(code) : 451, lines.join(" "));
    }
  }

  async #line(): Promise<Uint8Array> {
    const line = await readLine(this.#connection.reader);
    if (line === undefined) throw new Refusal(451, "the next server has hung up");
    return line;
  }
}

/** `deliver` for a relay: what goes wrong on the way is a reason to try again later. */
export function relayTo(options: SendOptions): (mail: Mail) => Promise<void> {
  return async (mail) => {
    try {
      await send(mail, options);
    } catch (error) {
      if (!isNetworkError(error)) throw error;
      throw new Refusal(451, `the next server cannot be reached: ${error.message}`);
    }
  };
}

/**
 * `deliver` into a folder, a file for each message: it has its name when it is safe on the disk.
 */
export function storeIn(folder: string): (mail: Mail) => Promise<void> {
  return async ({ from, to, data }) => {
    await mkdir(folder, { recursive: true });
    const name = `${Date.now()}.${randomUUID()}`;
    const draft = join(folder, `.${name}`);
    try {
      const file = await open(draft, "wx");
      try {
        const head = `Return-Path: <${from}>\r\nDelivered-To: ${to.join(", ")}\r\n`;
        await file.writeFile(Buffer.concat([Buffer.from(head), data]));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(draft, join(folder, `${name}.eml`));
    } catch (error) {
      await rm(draft, { force: true });
      throw new Refusal(451, `cannot be stored: ${(error as Error).message}`);
    }
  };
}
