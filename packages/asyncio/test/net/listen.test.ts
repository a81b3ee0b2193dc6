import assert from "node:assert/strict";
import dns from "node:dns";
import { describe, test } from "node:test";
import * as asyncio from "../../src/index.ts";
import { listenOnAll } from "../../src/net/listen.ts";
import { hostError, type Listener, type ListenOptions } from "../../src/streams/network.ts";

const { openConnection, run, startServer } = asyncio;

const greet: asyncio.ConnectionHandler = async (_reader, writer) => {
  writer.write("hello");
};

/** A network in which `names` have addresses, and listening fails where `fail` gives a code. */
function networkOf(
  names: Record<string, string[]>,
  fail: (at: ListenOptions) => string | undefined = () => undefined,
) {
  const open: string[] = [];
  const asked: ListenOptions[] = [];
  let port = 1000;
  return {
    open,
    asked,
    lookup: async (name: string) => names[name] ?? [name],
    listen: async (at: number | ListenOptions): Promise<Listener> => {
      const options = at as ListenOptions;
      asked.push(options);
      const code = fail(options);
      if (code !== undefined) throw hostError(code, "listen");
      const address = { host: options.host ?? "::", port: options.port || ++port };
      const name = `${address.host} ${address.port}`;
      open.push(name);
      const close = () => void open.splice(open.indexOf(name), 1);
      return { address, close, accept: () => Promise.reject(new Error("nobody")) };
    },
  };
}

describe("a server listens", () => {
  const both = { both: ["::1", "127.0.0.1"] };

  test("on all addresses of a name, at one port", async () => {
    const network = networkOf(both);

    await listenOnAll(network, { port: 0 }, ["both"]);

    assert.deepEqual(network.open, ["::1 1001", "127.0.0.1 1001"]);
  });

  test("at another port, if its port is taken at an address and was not asked for", async () => {
    const isTaken = ({ host, port }: ListenOptions) =>
      host === "127.0.0.1" && port === 1001 ? "EADDRINUSE" : undefined;
    const network = networkOf(both, isTaken);

    await listenOnAll(network, { port: 0 }, ["both"]);

    assert.deepEqual(network.open, ["::1 1001", "127.0.0.1 1002"]);
    const error = listenOnAll(networkOf(both, isTaken), { port: 1001 }, ["both"]);
    await assert.rejects(error, { code: "EADDRINUSE" });
  });

  test("once on an address that several names have", async () => {
    const network = networkOf({ ...both, same: ["127.0.0.1", "127.0.0.1"] });

    await listenOnAll(network, { port: 80 }, ["both", "same", "127.0.0.1", "127.0.0.2"]);

    assert.deepEqual(network.open, ["::1 80", "127.0.0.1 80", "127.0.0.2 80"]);
  });

  test("on the addresses of a name that this machine has, and fails if it has none", async () => {
    const isAbsent = (codes: Record<string, string>) => (at: ListenOptions) => codes[at.host ?? ""];
    const network = networkOf(both, isAbsent({ "::1": "EADDRNOTAVAIL" }));
    await listenOnAll(network, { port: 80 }, ["both"]);
    assert.deepEqual(network.open, ["127.0.0.1 80"]);

    const none = isAbsent({ "::1": "EAFNOSUPPORT", "127.0.0.1": "EADDRNOTAVAIL" });
    const failing = listenOnAll(networkOf(both, none), {}, ["both"]);
    await assert.rejects(failing, { code: "EAFNOSUPPORT" });
    // Whoever writes an address means it.
    const literal = networkOf(both, isAbsent({ "::1": "EADDRNOTAVAIL" }));
    await assert.rejects(listenOnAll(literal, {}, ["127.0.0.1", "::1"]), { code: "EADDRNOTAVAIL" });
    assert.deepEqual(literal.open, []);
  });

  test("nowhere, if it cannot listen on one of its addresses", async () => {
    const network = networkOf(both, ({ host }) => (host === "127.0.0.1" ? "EACCES" : undefined));

    await assert.rejects(listenOnAll(network, { port: 80 }, ["both"]), { code: "EACCES" });

    assert.deepEqual(network.open, []);
  });

  test("on an IPv6 address for IPv6 alone, where it listens on IPv4 addresses too", async () => {
    const only = async (hosts: (string | undefined)[], options: ListenOptions = {}) => {
      const network = networkOf(both);
      await listenOnAll(network, options, hosts);
      return network.asked[0]?.ipv6Only;
    };

    assert.deepEqual(await only(["::", "0.0.0.0"]), true);
    assert.deepEqual(await only(["both"], { ipv6Only: false }), false);
    for (const hosts of [["::"], ["::1", "::2"], [undefined], ["127.0.0.1"]])
      assert.equal(await only(hosts), undefined);
  });

  test("on every address of the machine that its name has", async () => {
    const { lookup } = dns.promises;
    const addresses = ["127.0.0.1", "203.0.113.1", "127.0.0.2"];
    const answer = addresses.map((address) => ({ address, family: 4 }));
    (dns.promises as { lookup: unknown }).lookup = async () => answer;
    try {
      await run(async () => {
        await using server = await startServer(greet, { host: "every.test" });
        const [first, second] = server.sockets;

        assert.deepEqual(
          server.sockets.map(({ host }) => host),
          ["127.0.0.1", "127.0.0.2"],
        );
        assert.equal(first.port, second?.port);
        for (const { host, port } of server.sockets) {
          await using connection = await openConnection(host, port);
          assert.equal(String(new TextDecoder().decode(await connection.reader.read())), "hello");
        }
      });
    } finally {
      dns.promises.lookup = lookup;
    }
  });

  test("on no host that is no text", async () => {
    for (const host of [5, null, {}, ["127.0.0.1", 5]])
      await run(() =>
        assert.rejects(startServer(greet, { host: host as string }), {
          name: "TypeError",
          message: /expects the address or name of a host, or several, got/,
        }),
      );
  });
});
