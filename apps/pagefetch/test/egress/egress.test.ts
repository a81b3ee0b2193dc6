import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { type FarmProxy, openProxy, type ProxyFault } from "../../farm/proxies.ts";
import { PageError } from "../../src/contract/errors.ts";
import type { UpstreamProxy } from "../../src/contract/parts.ts";
import type { Line } from "../../src/egress/egress.ts";
import { egressTo, watchedWire } from "../support/farm.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

function run<T>(body: () => Promise<T>): Promise<T> {
  return asyncio.run(body, { signals: false });
}

async function code(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (error === undefined) return "none";
  assert.ok(error instanceof PageError, String(error));
  const said = JSON.stringify([error.message, { ...error.details, url: undefined }]);
  assert.doesNotMatch(said, /127\.0|secret/);
  return error.code;
}

/** One request on a line, by hand. */
async function ask(line: Line, host: string): Promise<string> {
  const { socket } = line;
  socket.write(`GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
  const answer = await asyncio.cancellable(async () => {
    let text = "";
    for await (const chunk of socket) text += chunk;
    return text;
  });
  socket.destroy();
  return answer;
}

describe("resolve", () => {
  test("a host that the operator denies is refused, and so is what no range is", async () => {
    const way = egressTo(farm, { deny: farm.zone["example.com"] ?? [] });
    const ask = (url: string) => run(() => code(way.resolve(new URL(url))));
    assert.equal(await ask("http://example.com/"), "blocked_address");
    assert.equal(await ask("http://pages.farm.test/"), "none");
    assert.throws(() => egressTo(farm, { deny: ["ours"] }), /expected an address or a range/);
  });

  const blocked = [
    "http://127.0.0.1/",
    "http://localhost/",
    "http://foo.localhost./",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://0/",
    "http://inside.farm.test/",
    "http://mixed.farm.test/",
    "http://mapped.farm.test/",
    "http://private.farm.test/",
    "http://metadata.farm.test/",
    "http://unspecified.farm.test/",
    "http://pages.farm.test:22/",
    "http://pages.farm.test:6379/",
  ];
  for (const url of blocked) {
    test(`${url} is blocked`, async () => {
      const egress = egressTo(farm);
      assert.equal(await code(run(() => egress.resolve(new URL(url)))), "blocked_address");
    });
  }

  test("a name that does not exist, and a resolver that fails", async () => {
    const nowhere = () => egressTo(farm).resolve(new URL("http://nowhere.farm.test/"));
    const broken = async (): Promise<never> => {
      throw Object.assign(new Error("queryA ETIMEOUT 10.0.0.53"), { code: "ETIMEOUT" });
    };
    const failed = () =>
      egressTo(farm, { resolver: broken }).resolve(new URL("http://x.farm.test/"));

    assert.equal(await code(run(nowhere)), "dns_failed");
    assert.equal(await code(run(failed)), "dns_failed");
  });

  test("what is not HTTP is refused", async () => {
    for (const url of ["ftp://pages.farm.test/", "file:///etc/passwd", "data:,x", "javascript:1"])
      assert.equal(await code(run(() => egressTo(farm).resolve(new URL(url)))), "bad_request");
  });

  test("a name is asked in lower case and without its dot", async () => {
    const asked: string[] = [];
    const resolver = async (name: string) => {
      asked.push(name);
      return ["127.0.1.1"];
    };
    await run(() => egressTo(farm, { resolver }).resolve(new URL("http://EXAMPLE.com./")));
    assert.deepEqual(asked, ["example.com"]);
  });
});

describe("dial", () => {
  test("gives a connection to the very address that was checked", async () => {
    // The second answer is the attack: rebinding.
    const answers = [farm.zone["example.com"] ?? [], ["127.0.0.1"]];
    const resolver = async () => answers.shift() ?? [];
    const wire = watchedWire(farm);
    const egress = egressTo(farm, { resolver, wire });

    const answer = await run(async () => {
      const target = await egress.resolve(new URL("http://example.com/"));
      return await ask(await egress.dial(target), "example.com");
    });

    assert.match(answer, /Example Domain/);
    assert.deepEqual(
      wire.dialled.map(({ address }) => address),
      farm.zone["example.com"],
    );
    assert.equal(farm.canaryHits, 0);
  });

  test("takes nothing that was not checked", async () => {
    const forged = {
      url: new URL("http://example.com/"),
      port: 80,
      isSecure: false,
      addresses: ["127.0.0.1"],
    };
    await assert.rejects(
      run(() => egressTo(farm).dial(forged)),
      TypeError,
    );
    assert.equal(farm.canaryHits, 0);
  });

  test("counts bytes on the socket below TLS", async () => {
    const egress = egressTo(farm);
    await run(async () => {
      const target = await egress.resolve(new URL("https://example.com/"));
      const line = await egress.dial(target);
      assert.match(await ask(line, "example.com"), /Example Domain/);
      assert.ok(line.raw.bytesRead > 1500 && line.raw.bytesWritten > 300);
      assert.equal(line.raw.destroyed, true);
    });
  });

  const badTls = ["https://expired.farm.test/", "https://elsewhere.farm.test/"];
  for (const url of badTls) {
    test(`${url} has a certificate that does not count`, async () => {
      const egress = egressTo(farm);
      const work = run(async () => egress.dial(await egress.resolve(new URL(url))));
      assert.equal(await code(work), "tls_failed");
      await farm.waitQuiet();
    });
  }

  test("without the farm's authority its certificates do not count", async () => {
    const egress = egressTo(farm, { authorities: [] });
    const url = new URL("https://example.com/");
    assert.equal(await code(run(async () => egress.dial(await egress.resolve(url)))), "tls_failed");
  });

  test("tries the next address when the first refuses", async () => {
    const [good = ""] = farm.zone["example.com"] ?? [];
    const egress = egressTo(farm, { resolver: async () => ["127.0.1.250", good] });
    await run(async () => {
      const line = await egress.dial(await egress.resolve(new URL("http://example.com/")));
      assert.equal(line.address, good);
      line.socket.destroy();
    });
  });

  test("a refused connection is told without the address", async () => {
    const egress = egressTo(farm, { resolver: async () => ["127.0.1.250"] });
    const work = run(async () => egress.dial(await egress.resolve(new URL("http://x.test/"))));
    assert.equal(await code(work), "connect_failed");
  });

  test("cancelled in a TLS handshake, it leaves no socket", async () => {
    // Port 80 does not answer a handshake before its own timeout.
    const wire = watchedWire(farm);
    const egress = egressTo(farm, {
      wire: { connect: (to) => wire.connect({ ...to, port: 80 }) },
    });
    await run(async () => {
      const target = await egress.resolve(new URL("https://slow.farm.test/"));
      await assert.rejects(
        asyncio.timeout(0.05, () => egress.dial(target)),
        (error) =>
          error instanceof asyncio.TimeoutError || code(Promise.reject(error)) !== undefined,
      );
    });
    await farm.waitQuiet();
    assert.equal(farm.open, 0);
  });
});

describe("proxies", () => {
  const opened: FarmProxy[] = [];
  after(async () => {
    for (const proxy of opened) await proxy.close();
  });

  async function proxyOf(
    protocol: UpstreamProxy["protocol"],
    fault: ProxyFault = "none",
    more: Partial<UpstreamProxy> = {},
    server: { username?: string; password?: string } = {},
  ): Promise<{ upstream: UpstreamProxy; proxy: FarmProxy }> {
    const proxy = await openProxy({
      protocol,
      fault,
      from: "127.0.2.7",
      portOf: farm.portOf.bind(farm),
      zone: farm.zone,
      ...server,
    });
    opened.push(proxy);
    const host = protocol === "https" ? "farm.test" : proxy.host;
    return { proxy, upstream: { protocol, host, port: proxy.port, ...more } };
  }

  const egress = () =>
    egressTo(farm, {
      resolver: async (name) => (name === "farm.test" ? ["127.0.3.1"] : (farm.zone[name] ?? [])),
    });

  async function through(upstream: UpstreamProxy, url: string): Promise<string> {
    const way = egress();
    return await run(async () => {
      const target = await way.resolve(new URL(url));
      return await ask(await way.dial(target, upstream), target.url.hostname);
    });
  }

  for (const protocol of ["http", "https", "socks5"] as const) {
    test(`${protocol}: pages of http and https come through, from the proxy's address`, async () => {
      const { upstream, proxy } = await proxyOf(protocol);
      const [address] = farm.zone["example.com"] ?? [];

      assert.match(await through(upstream, "http://example.com/"), /Example Domain/);
      assert.match(await through(upstream, "https://example.com/"), /Example Domain/);

      assert.deepEqual(proxy.asked, [`${address}:80`, `${address}:443`]);
      assert.ok(farm.seen.slice(-2).every(({ client }) => client === "127.0.2.7"));
    });

    test(`${protocol}: with \`resolve: "remote"\` the proxy is told the name`, async () => {
      const { upstream, proxy } = await proxyOf(protocol, "none", { resolve: "remote" });
      assert.match(await through(upstream, "http://example.com/"), /Example Domain/);
      assert.deepEqual(proxy.asked, ["example.com:80"]);
    });

    test(`${protocol}: a forbidden host does not even reach the proxy`, async () => {
      const { upstream, proxy } = await proxyOf(protocol, "none", { resolve: "remote" });
      assert.equal(await code(through(upstream, "http://inside.farm.test/")), "blocked_address");
      assert.deepEqual(proxy.asked, []);
    });

    test(`${protocol}: a name that is too long for one does not reach the proxy`, async () => {
      const { upstream, proxy } = await proxyOf(protocol, "none", { resolve: "remote" });
      const way = egressTo(farm, { resolver: async () => farm.zone["example.com"] ?? [] });
      const host = `${"inside.".repeat(40)}farm.test`;
      const dialled = run(async () =>
        way.dial(await way.resolve(new URL(`http://${host}/`)), upstream),
      );
      assert.equal(await code(dialled), "dns_failed");
      assert.deepEqual(proxy.asked, []);
    });

    test(`${protocol}: credentials`, async () => {
      const right = { username: "user", password: "secret:ü" };
      const { upstream } = await proxyOf(protocol, "none", right, right);
      assert.match(await through(upstream, "http://example.com/"), /Example Domain/);
      assert.equal(
        await code(through({ ...upstream, password: "secret" }, "http://example.com/")),
        "proxy_failed",
      );
      assert.equal(
        await code(through({ ...upstream, username: undefined }, "http://example.com/")),
        "proxy_failed",
      );
    });

    const faults: readonly ProxyFault[] = [
      "refuses",
      "unauthorized",
      "bad-gateway",
      "unreachable",
      "garbage",
      "closes",
      "long-head",
    ];
    for (const fault of faults) {
      if (protocol === "socks5" && fault === "long-head") continue;
      test(`${protocol}: a proxy that ${fault} is at fault`, async () => {
        const { upstream } = await proxyOf(protocol, fault);
        const targets = protocol === "socks5" && fault === "unreachable";
        assert.equal(
          await code(through(upstream, "http://example.com/")),
          targets ? "connect_failed" : "proxy_failed",
        );
      });
    }

    test(`${protocol}: a proxy that is silent is left when the deadline passes`, async () => {
      const { upstream, proxy } = await proxyOf(protocol, "silent");
      const way = egress();
      await run(async () => {
        const target = await way.resolve(new URL("http://example.com/"));
        await assert.rejects(
          asyncio.timeout(0.1, () => way.dial(target, upstream)),
          asyncio.TimeoutError,
        );
      });
      await proxy.waitQuiet();
    });
  }

  test("a proxy on a private address needs to be allowed", async () => {
    const { upstream, proxy } = await proxyOf("http");
    const way = egressTo(farm, { allowProxies: [] });
    const work = run(async () => {
      const target = await way.resolve(new URL("http://example.com/"));
      return await way.dial(target, upstream);
    });
    assert.equal(await code(work), "proxy_failed");
    assert.deepEqual(proxy.asked, []);
  });

  test("a proxy that is not there is at fault", async () => {
    const dead: UpstreamProxy = { protocol: "http", host: "127.0.3.1", port: 9 };
    assert.equal(await code(through(dead, "http://example.com/")), "proxy_failed");
  });
});

test("nothing has knocked at the canary", () => assert.equal(farm.canaryHits, 0));
