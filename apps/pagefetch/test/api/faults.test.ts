/** What goes wrong around the service: clients that leave, a database that takes no rows, commands. */

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { once } from "asyncio-ts/patterns";
import { sql } from "asyncio-ts-db";
import { connect as connectSqlite } from "asyncio-ts-db/sqlite";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { jsonText } from "../../src/api/answers.ts";
import { PageError } from "../../src/contract/errors.ts";
import { codeOf, q, usageNow, usageOf, type World, withApi } from "../support/api.ts";

const folder = mkdtempSync(join(tmpdir(), "pagefetch-"));
let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(async () => {
  await farm.close();
  rmSync(folder, { recursive: true });
});

/** Sends `text`, reads `bytes` of the answer, and goes without a word. */
async function leave(address: string, text: string, bytes: number): Promise<void> {
  const { hostname, port } = new URL(address);
  await new Promise<void>((resolve) => {
    let read = 0;
    const socket = connect(Number(port), hostname);
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    socket.on("data", (data) => {
      read += data.length;
      if (read >= bytes) socket.destroy();
    });
    socket.write(text, () => {
      if (bytes === 0) socket.destroy();
    });
  });
}

/** Requests that the service has counted. */
async function counted({ service }: World): Promise<number> {
  const text = await service.metrics.registry.metrics();
  const counts = text.matchAll(/^pagefetch_requests_total\{.*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

test("an answer that is being read when the service goes down is read to its end", async () => {
  let read = 0;
  let length = Number.NaN;
  let closed: Promise<void> | undefined;
  await withApi(farm, async ({ address, key, service }) => {
    const { hostname, port } = new URL(address);
    const socket = connect(Number(port), hostname);
    const target = q("http://pages.farm.test/bytes/8000000");
    socket.write(
      `GET /?json=1&url=${target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${key}\r\nConnection: close\r\n\r\n`,
    );
    await once(socket, "readable"); // the whole answer is written by then
    const begin = service.beginShutdown.bind(service);
    service.beginShutdown = () => {
      begin();
      closed = new Promise((resolve) => socket.once("close", () => resolve()));
      setImmediate(() => {
        socket.on("data", (data: Buffer) => {
          if (read === 0) {
            const head = `${data}`.slice(0, `${data}`.indexOf("\r\n\r\n"));
            length = head.length + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1]);
          }
          read += data.length;
        });
      });
    };
  });
  await closed;
  assert.ok(length > 8_000_000, String(length));
  assert.equal(read, length);
});

describe("a client that leaves", () => {
  test("after any byte of its request leaves nothing behind", () =>
    withApi(farm, async (world) => {
      const json = JSON.stringify({ url: "http://example.com/" });
      const head = `Host: a\r\nAuthorization: Bearer ${world.key}\r\n`;
      const requests = [
        `GET /?url=${q("http://example.com/")} HTTP/1.1\r\n${head}\r\n`,
        `POST /v1/fetch HTTP/1.1\r\n${head}Content-Length: ${json.length}\r\n\r\n${json}`,
      ];
      for (const request of requests) {
        for (let size = 1; size <= request.length; size += size < 100 ? 9 : 3) {
          await leave(world.address, request.slice(0, size), 0);
        }
        await leave(world.address, request, 0);
      }
      await world.service.waitIdle();
      assert.equal((await usageOf(world)).requests, await counted(world));
      assert.equal((await world.ask(`/?url=${q("http://example.com/")}`)).status, 200);
    }));

  test("in the middle of a body that is sent on is nobody's failure", () =>
    withApi(farm, async (world) => {
      const head = `Host: a\r\nAuthorization: Bearer ${world.key}\r\nContent-Length: 100\r\n\r\n`;
      for (const path of [`/?url=${q("http://pages.farm.test/echo")}`, "/v1/fetch", "/v1/batch"])
        await leave(world.address, `POST ${path} HTTP/1.1\r\n${head}half of it`, 0);
      await world.service.waitIdle();
      assert.deepEqual(world.reports, []);
    }));

  test("after any byte of its answer leaves nothing behind, and has its row", () =>
    withApi(farm, async (world) => {
      const head = `Host: a\r\nConnection: close\r\nAuthorization: Bearer ${world.key}\r\n\r\n`;
      const small = `GET /?url=${q("http://example.com/")} HTTP/1.1\r\n${head}`;
      for (let size = 1; size < 1800; size += 150) await leave(world.address, small, size);
      const large = `GET /?url=${q("http://pages.farm.test/bytes/3000000")} HTTP/1.1\r\n${head}`;
      for (const size of [1000, 100_000, 2_000_000]) await leave(world.address, large, size);
      await world.service.waitIdle();
      const { requests, failures } = await usageOf(world);
      assert.equal(requests, 15);
      assert.deepEqual(Object.keys(failures), ["cancelled"]);
    }));

  test("in the moment in which its page is whole, or has failed, has its row", () =>
    withApi(farm, async (world) => {
      const { service } = world;
      const key = await service.admission.keyOf(world.key);
      const leaving = async (fails: boolean): Promise<void> => {
        asyncio.currentTask()?.cancel(); // nothing waits after this, so it stays pending
        if (fails) throw new PageError("connect_failed", "nobody is there");
      };
      for (const fails of [false, true]) {
        const request = { url: "http://example.com/" };
        const call = asyncio.createTask(() => service.stream(key, request, () => leaving(fails)));
        await asyncio.wait([call]);
        if (!call.cancelled()) call.exception();
      }
      const { requests } = await usageOf(world);
      assert.deepEqual([requests, await counted(world)], [2, 2]);
    }));
});

describe("what a site sends does not make an answer that cannot be read", () => {
  // Node's own client reads 16 KiB of headers.
  test("an address that is too long for a header", () =>
    withApi(farm, async ({ ask, post }) => {
      const far = `http://pages.farm.test/${"a".repeat(13_000)}`;
      const url = `http://redirect.farm.test/to?url=${far}`;
      for (const more of ["", "&output=text"]) {
        const answer = await ask(`/?url=${q(url)}${more}`);
        assert.match(await answer.text(), /Hello\./);
        assert.equal(answer.headers.get("x-fetch-final-url"), null);
      }
      const whole = (await (await post("/v1/fetch", { url })).json()) as { final_url: string };
      assert.equal(whole.final_url, far);
    }));

  test("a type that is too long for a header", () =>
    withApi(farm, async ({ ask }) => {
      const path = `/?url=${q("http://charset.farm.test/long-type")}`;
      for (const [more, type] of [
        ["", null],
        ["&cache=use", null],
      ] as const) {
        const answer = await ask(`${path}${more}`);
        assert.deepEqual(
          [await answer.text(), answer.headers.get("content-type")],
          ["<p>typed</p>", type],
        );
      }
    }));

  test("text that is too long for JSON", () => {
    // 95 MiB of control characters are that: each becomes six.
    const long = {
      toJSON() {
        throw new RangeError("Invalid string length");
      },
    };
    assert.throws(() => jsonText(long), { name: "PageError", code: "too_large" });
  });
});

test("a batch gives each result when it is there", () =>
  withApi(farm, async ({ post }) => {
    const requests = [
      { url: "http://example.com/" },
      { url: "http://drip.farm.test/", timeout: 60 },
    ];
    const { body } = await post("/v1/batch", { requests });
    let text = "";
    for await (const piece of body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(piece).toString();
      if (text.includes("Example Domain")) break; // the other one has not answered yet
    }
    assert.match(text, /^\{"results":\[\{"id"/);
  }));

test("a database that takes no rows costs no request and no row", async () => {
  const store = join(folder, "full.db");
  const full = sql`create trigger full before insert on ledger
    begin select raise(fail, 'database or disk is full'); end`;
  await withApi(
    farm,
    async (world) => {
      const path = `/?url=${q("http://example.com/")}`;
      assert.equal((await world.ask(path)).status, 200);
      await using db = await connectSqlite(store);
      await db.execute(full);
      const statuses = await asyncio.gather(
        Array.from({ length: 5 }, () => async () => {
          const answer = await world.ask(path);
          await answer.text();
          return answer.status;
        }),
      );
      assert.deepEqual(statuses, [200, 200, 200, 200, 200]);
      assert.equal((await usageNow(world)).requests, 1);
      assert.equal((await world.ask("/readyz", { key: null })).status, 503);
      await db.execute(sql`drop trigger full`);
      assert.equal((await usageOf(world)).requests, 6);
      assert.equal((await world.ask("/readyz", { key: null })).status, 200);
      assert.match(world.reports.splice(0).join(" "), /^(the ledger cannot be written: \S+.*)+$/);
    },
    { store },
  );
});

describe("keys are claimed", () => {
  const publicUrl = "https://fetch.example";
  const noted = join(folder, "mail.txt");
  const claimCommand = ["sh", "-c", `printf '%s %s' "$1" "$2" > ${noted}`, "sh"];

  test("by a link that the operator's command sends, once", () =>
    withApi(
      farm,
      async ({ ask, post }) => {
        for (const strange of ["", "ann", "a b@c.example", 5]) {
          const refused = await post("/v1/keys/claim", { address: strange }, null);
          assert.equal(await codeOf(refused), "bad_request");
        }
        const sent = await post("/v1/keys/claim", { address: "ann@b.example" }, null);
        assert.deepEqual([sent.status, await sent.json()], [202, { sent: true }]);
        const [to, link = ""] = readFileSync(noted, "utf8").split(" ");
        assert.equal(to, "ann@b.example");
        assert.ok(link.startsWith(`${publicUrl}/v1/keys/confirm?token=`));
        const path = link.slice(publicUrl.length);
        // A mail program looks at the link, and that uses nothing up.
        assert.match(await (await ask(path, { key: null })).text(), /<button>/);
        const made = await ask(path, { method: "POST", key: null });
        assert.equal(made.status, 201);
        const { key } = (await made.json()) as { key: string };
        assert.equal((await ask(`/?url=${q("http://example.com/")}`, { key })).status, 200);
        assert.equal(await codeOf(await ask(path, { method: "POST", key: null })), "unauthorized");
        writeFileSync(noted, "");
        const again = await post("/v1/keys/claim", { address: "ANN@b.example" }, null);
        assert.deepEqual([again.status, readFileSync(noted, "utf8")], [202, ""]);
      },
      { publicUrl, claimCommand },
    ));

  test("ten times a minute at most", () =>
    withApi(
      farm,
      async ({ post }) => {
        const codes: number[] = [];
        for (let n = 0; n < 12; n++) {
          codes.push((await post("/v1/keys/claim", { address: `a${n}@b.example` }, null)).status);
        }
        assert.deepEqual(codes, [...Array(10).fill(202), 429, 429]);
      },
      { publicUrl, claimCommand: ["true"] },
    ));

  test("a command that fails is told to the operator, without the address", () =>
    withApi(
      farm,
      async ({ post, reports }) => {
        const failed = await post("/v1/keys/claim", { address: "ann@b.example" }, null);
        assert.equal(failed.status, 500);
        assert.doesNotMatch(await failed.text(), /ann|token/);
        const [report = ""] = reports.splice(0);
        assert.match(report, /has failed: ProcessError/);
        assert.doesNotMatch(report, /ann|token/);
      },
      { publicUrl, claimCommand: ["false"] },
    ));

  test("a command that hangs ends with the client that waits for it", () => {
    const pidFile = join(folder, "pid");
    return withApi(
      farm,
      async ({ post }) => {
        const call = asyncio.createTask(() =>
          post("/v1/keys/claim", { address: "ann@b.example" }, null),
        );
        while (pidOf(pidFile) === undefined) await asyncio.sleep(0.01);
        call.cancel();
        await asyncio.wait([call]);
        const pid = pidOf(pidFile) ?? 0;
        while (isAlive(pid)) await asyncio.sleep(0.01);
      },
      { publicUrl, claimCommand: ["sh", "-c", `echo $$ > ${pidFile}; exec sleep 1000`, "sh"] },
    );
  });
});

function pidOf(file: string): number | undefined {
  try {
    return Number(readFileSync(file, "utf8")) || undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("the keys of signatures are shown, and requests are signed by one of them", () => {
  const signingKey = join(folder, "signing.pem");
  const { privateKey } = generateKeyPairSync("ed25519");
  writeFileSync(signingKey, privateKey.export({ type: "pkcs8", format: "pem" }));
  return withApi(
    farm,
    async ({ ask }) => {
      const shown = await ask("/.well-known/http-message-signatures-directory", { key: null });
      assert.match(
        shown.headers.get("content-type") ?? "",
        /^application\/http-message-signatures-directory\+json/,
      );
      const { keys } = (await shown.json()) as { keys: { kid: string; d?: string }[] };
      assert.equal(keys.length, 1);
      assert.equal(keys[0]?.d, undefined);
      const echo = await (await ask(`/?url=${q("http://pages.farm.test/echo")}`)).text();
      assert.ok(echo.includes(`keyid=\\"${keys[0]?.kid}\\"`), echo);
    },
    { publicUrl: "https://fetch.example", identity: { signingKey } },
  );
});
