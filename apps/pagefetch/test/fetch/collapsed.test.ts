import assert from "node:assert/strict";
import { test } from "node:test";
import * as asyncio from "asyncio-ts";
import { Collapsed } from "../../src/fetch/collapsed.ts";
import { virtual } from "../support/virtual.ts";

/** Joins, and tells when and as what. */
function joining(collapsed: Collapsed, key: string, told: string[], name: string) {
  return asyncio.createTask(async () => {
    const lead = await collapsed.join(key);
    const at = asyncio.getRunningLoop().time();
    told.push(`${name} ${lead === undefined ? "looks" : "leads"} at ${at}`);
    return lead;
  });
}

test(
  "who waits goes when the first one has ended, all at once",
  virtual(async () => {
    const collapsed = new Collapsed();
    const told: string[] = [];
    const lead = await joining(collapsed, "a", told, "first");
    const others = ["second", "third"].map((name) => joining(collapsed, "a", told, name));
    await joining(collapsed, "b", told, "another");
    await asyncio.sleep(2);

    lead?.end(false);
    await asyncio.wait(others);

    const looks = ["second looks at 2", "third looks at 2"];
    assert.deepEqual(told, ["first leads at 0", "another leads at 0", ...looks]);
  }),
);

test(
  "nobody waits longer than five seconds for another",
  virtual(async () => {
    const collapsed = new Collapsed();
    const told: string[] = [];
    await joining(collapsed, "a", told, "first");

    await joining(collapsed, "a", told, "second");

    assert.deepEqual(told, ["first leads at 0", "second looks at 5"]);
  }),
);

test(
  "one of those who wait takes the place of a first one that has left",
  virtual(async () => {
    const collapsed = new Collapsed();
    const told: string[] = [];
    const first = await joining(collapsed, "a", told, "first");
    const second = joining(collapsed, "a", told, "second");
    const third = joining(collapsed, "a", told, "third");
    await asyncio.sleep(1);

    first?.end(true);
    (await second)?.end(false);
    await third;

    assert.deepEqual(told, ["first leads at 0", "second leads at 1", "third looks at 1"]);
  }),
);

test(
  "who is cancelled leaves, and the others go on",
  virtual(async () => {
    const collapsed = new Collapsed();
    const told: string[] = [];
    const first = await joining(collapsed, "a", told, "first");
    const second = joining(collapsed, "a", told, "second");
    const third = joining(collapsed, "a", told, "third");
    await asyncio.sleep(1);

    second.cancel();
    await asyncio.wait([second]);
    first?.end(false);
    await third;

    assert.deepEqual(told, ["first leads at 0", "third looks at 1"]);
    assert.notEqual(await joining(collapsed, "a", told, "last"), undefined);
  }),
);
