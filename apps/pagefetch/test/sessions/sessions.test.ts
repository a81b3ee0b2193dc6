import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { createSessions } from "../../src/sessions/sessions.ts";
import { virtual } from "../support/virtual.ts";

const url = new URL("https://www.example.org/shop/");

describe("cookies", () => {
  test("go back to where they came from, by path and domain", () => {
    const session = createSessions().open(undefined);
    session.setCookies(url, ["a=1; Path=/", "b=2; Path=/shop", "c=3; Domain=example.org; Path=/"]);
    assert.deepEqual(session.cookiesFor(url)?.split("; ").sort(), ["a=1", "b=2", "c=3"]);
    assert.equal(session.cookiesFor(new URL("https://www.example.org/x")), "a=1; c=3");
    assert.equal(session.cookiesFor(new URL("https://b.example.org/")), "c=3");
    assert.equal(session.cookiesFor(new URL("https://example.com/")), undefined);
  });

  test("for others, for a public suffix, or without sense are dropped", () => {
    const session = createSessions().open(undefined);
    session.setCookies(url, ["a=1; Domain=evil.example", "b=2; Domain=org", "", ";;;", "\u0000"]);
    assert.equal(session.cookiesFor(url), undefined);
  });

  test("that are secure do not go over http", () => {
    const session = createSessions().open(undefined);
    session.setCookies(url, ["a=1; Secure; Path=/"]);
    assert.equal(session.cookiesFor(new URL("http://www.example.org/")), undefined);
  });

  test("are bounded in number and size", () => {
    const session = createSessions().open(undefined);
    session.setCookies(url, [`big=${"x".repeat(100_000)}`]);
    assert.equal(session.cookiesFor(url), undefined);
    session.setCookies(
      url,
      Array.from({ length: 5000 }, (_, n) => `c${n}=1`),
    );
    session.setCookies(url, ["late=1"]);
    assert.equal(session.cookiesFor(url)?.split("; ").length, 180);
  });
});

describe("a session", () => {
  test(
    "with a name is the same at each use, and none without one",
    virtual(async () => {
      const sessions = createSessions();
      assert.equal(sessions.open("ann"), sessions.open("ann"));
      assert.notEqual(sessions.open("ann"), sessions.open("ben"));
      assert.notEqual(sessions.open(undefined), sessions.open(undefined));
      assert.deepEqual(
        sessions.list().map(({ name, uses }) => [name, uses]),
        [
          ["ann", 3],
          ["ben", 1],
        ],
      );
    }),
  );

  test(
    "is forgotten after a time without use, and after its age",
    virtual(async () => {
      const sessions = createSessions({ idle: 10, maxAge: 25 });
      const first = sessions.open("ann");
      await asyncio.sleep(9);
      assert.equal(sessions.open("ann"), first);
      await asyncio.sleep(9);
      assert.equal(sessions.open("ann"), first);
      await asyncio.sleep(8);
      assert.notEqual(sessions.open("ann"), first);
      await asyncio.sleep(10);
      assert.deepEqual(sessions.list(), []);
    }),
  );

  test(
    "that was used least recently goes where there are too many",
    virtual(async () => {
      const sessions = createSessions({ max: 2 });
      const ann = sessions.open("ann");
      sessions.open("ben");
      sessions.open("ann");
      sessions.open("cid");
      assert.deepEqual(
        sessions.list().map(({ name }) => name),
        ["ann", "cid"],
      );
      assert.equal(sessions.open("ann"), ann);
    }),
  );

  test(
    "can be ended",
    virtual(async () => {
      const sessions = createSessions();
      const first = sessions.open("ann");
      assert.equal(sessions.end("ann"), true);
      assert.equal(sessions.end("ann"), false);
      assert.notEqual(sessions.open("ann"), first);
    }),
  );

  for (const name of ["", "a b", "x".repeat(129), "ä", "a/../b"]) {
    test(
      `is not called ${JSON.stringify(name.slice(0, 9))}`,
      virtual(async () => {
        assert.throws(() => createSessions().open(name), { code: "bad_request" });
      }),
    );
  }
});

test("bad options are refused by name", () => {
  assert.throws(() => createSessions({ idle: 0 }), /sessions\.idle/);
  assert.throws(() => createSessions({ maxAge: Number.NaN }), /sessions\.maxAge/);
  assert.throws(() => createSessions({ max: -1 }), /sessions\.max/);
});
