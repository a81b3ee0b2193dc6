import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ProxyLineError, parseProxies } from "../../src/proxies/parse.ts";

const upstreamOf = (line: string) => parseProxies(line)[0]?.upstream;

describe("an address is read in each form in which proxies are sold", () => {
  const table: Record<string, ReturnType<typeof upstreamOf>> = {
    "http://proxy.example:8080": { protocol: "http", host: "proxy.example", port: 8080 },
    "http://proxy.example": { protocol: "http", host: "proxy.example", port: 80 },
    "http://proxy.example:80/": { protocol: "http", host: "proxy.example", port: 80 },
    "https://proxy.example": { protocol: "https", host: "proxy.example", port: 443 },
    "https://proxy.example:80": { protocol: "https", host: "proxy.example", port: 80 },
    "socks5://proxy.example": { protocol: "socks5", host: "proxy.example", port: 1080 },
    "socks5h://proxy.example": { protocol: "socks5", host: "proxy.example", port: 1080 },
    "192.0.2.7:3128": { protocol: "http", host: "192.0.2.7", port: 3128 },
    "http://[2001:db8::1]:3128": { protocol: "http", host: "2001:db8::1", port: 3128 },
    "http://ann:s%40cret@p.example:1": {
      protocol: "http",
      host: "p.example",
      port: 1,
      username: "ann",
      password: "s@cret",
    },
    "p.example:8080:ann:s@c:ret": {
      protocol: "http",
      host: "p.example",
      port: 8080,
      username: "ann",
      password: "s@c:ret",
    },
    "ann:secret@p.example:8080": {
      protocol: "http",
      host: "p.example",
      port: 8080,
      username: "ann",
      password: "secret",
    },
    "http://p.example:1 resolve=remote local=127.0.0.2": {
      protocol: "http",
      host: "p.example",
      port: 1,
      resolve: "remote",
      localAddress: "127.0.0.2",
    },
  };
  for (const [line, expected] of Object.entries(table)) {
    test(line, () => assert.deepEqual(upstreamOf(line), expected));
  }
});

test("a list has comments, empty lines, and ids that tell no address", () => {
  const list = "# mine\n\nhttp://a.example\r\nhttp://b.example id=b country=DE cost=2.5 max=3\n";
  assert.deepEqual(
    parseProxies(list, "office").map(({ id, country, cost, max }) => [id, country, cost, max]),
    [
      ["office-3", undefined, 1, 100],
      ["b", "de", 2.5, 3],
    ],
  );
});

describe("a line that is no proxy is told by its number, and not repeated", () => {
  const table: Record<string, RegExp> = {
    "ftp://a.example:1": /http:\/\/, https:\/\/ or socks5/,
    "http://": /cannot be read/,
    "http://ann:hunter2@:80": /cannot be read/,
    "http://ann:hunter2@a.example:99999": /cannot be read/,
    "http://a.example/path": /nothing else/,
    "http://a.example?x=hunter2": /nothing else/,
    "http://a.example:0": /port is 0/,
    "http://ann:%zz@a.example": /% that encodes nothing/,
    "http://a.example hunter2": /as key=value/,
    "http://a.example speed=3": /as key=value/,
    "http://a.example max=2 max=3": /twice/,
    "http://a.example max=1.5": /"max"/,
    "http://a.example cost=-1": /"cost"/,
    "http://a.example cost=lots": /"cost"/,
    "http://a.example country=germany": /"country"/,
    "http://a.example id=a/b": /"id"/,
    "http://a.example resolve=maybe": /"resolve"/,
    "http://a.example id=x\nhttp://b.example id=x": /line 3: the id "x" is taken/,
  };
  for (const [line, message] of Object.entries(table)) {
    test(line.slice(0, 40), () => {
      assert.throws(
        () => parseProxies(`# one\n${line}`),
        (error) => {
          assert.ok(error instanceof ProxyLineError);
          assert.match(error.message, message);
          assert.match(error.message, /^line \d+: /);
          assert.doesNotMatch(error.message, /hunter2/);
          return true;
        },
      );
    });
  }
});
