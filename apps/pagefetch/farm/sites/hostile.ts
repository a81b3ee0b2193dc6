/** Sites that never end, lie about their length, or send more than they seem to. */

import {
  brotliCompressSync,
  constants,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import { type Ask, html, numberOf, pageOf, pause, type Site, type Sites } from "../site.ts";

const MIB = 2 ** 20;
const head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n";

/** Writes `piece` every `seconds`, until the other side has gone. */
async function drip(ask: Ask, seconds: number, piece: string | Buffer): Promise<void> {
  while (await pause(seconds, ask.gone)) if (!ask.socket.write(piece)) await drained(ask);
}

/** Writes `piece` as fast as it is read, until the other side has gone. */
async function flood(ask: Ask, piece: string | Buffer): Promise<void> {
  while (!ask.gone.aborted) if (!ask.socket.write(piece)) await drained(ask);
}

function drained({ socket, gone }: Ask): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      socket.off("drain", end);
      gone.removeEventListener("abort", end);
      resolve();
    };
    socket.on("drain", end);
    gone.addEventListener("abort", end);
  });
}

/** Answers on the bare socket, which ends after it. */
function raw(text: string): Site {
  return ({ socket }) => void socket.end(text);
}

const encoders = {
  gzip: (bytes: Buffer) => gzipSync(bytes, { level: 9 }),
  deflate: (bytes: Buffer) => deflateSync(bytes),
  br: (bytes: Buffer) =>
    brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
  zstd: (bytes: Buffer) => zstdCompressSync(bytes),
} as const;
type Encoding = keyof typeof encoders;

function isEncoding(text: string): text is Encoding {
  return text in encoders;
}

const bombs = new Map<string, Buffer>();

/** `size` MiB of zeros, encoded once or several times. */
export function bombOf(encodings: readonly Encoding[], size: number): Buffer {
  const key = `${encodings} ${size}`;
  const bomb =
    bombs.get(key) ??
    encodings.reduce((bytes, name) => encoders[name](bytes), Buffer.alloc(size * MIB));
  bombs.set(key, bomb);
  return bomb;
}

export const hostileSites: Sites = {
  /** `/head?after=2`, `/body?after=2`: silence before that. */
  "slow.farm.test": async (ask) => {
    const after = numberOf(ask.url, "after", 3600);
    if (ask.url.pathname === "/body") ask.socket.write(`${head}content-length: 5\r\n\r\n`);
    if (!(await pause(after, ask.gone))) return;
    if (ask.url.pathname === "/body") ask.socket.end("hello");
    else html(ask, "<p>at last</p>");
  },

  /** A byte every 0.2 seconds, for ever: `?every=0.05`. */
  "drip.farm.test": async (ask) => {
    ask.socket.write(`${head}content-length: 1000000\r\n\r\n`);
    await drip(ask, numberOf(ask.url, "every", 0.2), "x");
  },

  "endless.farm.test": async (ask) => {
    const { pathname } = ask.url;
    if (pathname === "/headers") {
      ask.socket.write("HTTP/1.1 200 OK\r\n");
      await flood(ask, `x-filler: ${"y".repeat(1000)}\r\n`);
    } else if (pathname === "/interim") {
      await drip(ask, 0.01, "HTTP/1.1 103 Early Hints\r\n\r\n");
    } else {
      ask.socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
      await flood(ask, `10000\r\n${"z".repeat(65_536)}\r\n`);
    }
  },

  /** Not what HTTP says. */
  "broken.farm.test": (ask) => {
    const { pathname } = ask.url;
    if (pathname === "/reset") {
      const at = numberOf(ask.url, "at", 100);
      const whole = `${head}content-length: 1000\r\n\r\n${"x".repeat(1000)}`;
      ask.socket.write(whole.slice(0, at), () => ask.socket.resetAndDestroy());
      return;
    }
    const answer = broken[pathname];
    if (answer === undefined) html(ask, Object.keys(broken).join(" "));
    else raw(answer)(ask);
  },

  /** `/gzip?size=100`, `/gzip/gzip`, `/br`, `/zstd`, `/deflate`, `/lie`, `/raw`, `/page/gzip`. */
  "bombs.farm.test": (ask) => {
    const names = ask.url.pathname.split("/").slice(1);
    const headers = { "content-encoding": names.filter(isEncoding).join(", ") };
    if (names[0] === "lie") return html(ask, "not compressed", 200, { "content-encoding": "gzip" });
    if (names[0] === "odd") return html(ask, "?", 200, { "content-encoding": "sdch" });
    if (names[0] === "raw")
      return html(ask, deflateRawSync("<p>raw</p>"), 200, { "content-encoding": "deflate" });
    if (names[0] === "page") {
      const encodings = names.filter(isEncoding);
      const page = encodings.reduce<Buffer>(
        (bytes, name) => encoders[name](bytes),
        Buffer.from(pageOf(20_000)),
      );
      return html(ask, page, 200, headers);
    }
    html(ask, bombOf(names.filter(isEncoding), numberOf(ask.url, "size", 100)), 200, headers);
  },
};

const broken: Readonly<Record<string, string>> = {
  "/short": `${head}content-length: 1000\r\n\r\nonly this`,
  "/long": `${head}content-length: 4\r\n\r\nmore than this`,
  "/two-lengths": `${head}content-length: 4\r\ncontent-length: 5\r\n\r\nfour`,
  "/chunk-size": `${head}transfer-encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n`,
  "/half-chunk": `${head}transfer-encoding: chunked\r\n\r\n10\r\nhello`,
  "/no-http": "SSH-2.0-OpenSSH_9.2\r\n",
  "/nothing": "",
  "/old": `HTTP/1.0 200 OK\r\ncontent-type: text/html\r\n\r\n<p>until the end</p>`,
  "/bad-header": "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
  "/bad-status": "HTTP/1.1 abc OK\r\n\r\n",
  "/upgrade":
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
};
