// Bugs in state that tasks share: no two of them hold the same lock at the moment that counts.

import assert from "node:assert/strict";
import * as asyncio from "../../../src/index.ts";
import * as testing from "../../../src/testing.ts";
import { type Specimen, turns } from "./specimen.ts";

const { gather, Lock, sleep } = asyncio;

export const sharedState: readonly Specimen[] = [
  {
    bug: "lost update",
    name: "two deposits read before either has written",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let balance = 100;
      const lock = new Lock();
      const deposit = async (amount: number, delay: number) => {
        await turns(delay);
        using _guard = fixed ? await lock.acquire() : undefined;
        const before = balance;
        await sleep(0); // writes the journal
        balance = before + amount;
      };
      await gather(
        () => deposit(10, 0),
        () => deposit(20, 1),
      );
      assert.equal(balance, 130);
    },
  },
  {
    bug: "lost update",
    name: "a counter of a metrics page is flushed while it is raised",
    finder: "explore",
    deviations: 0,
    failure: "RaceError",
    body: (fixed) => async () => {
      const hits = testing.cell(0, "hits");
      const hit = async () => {
        await sleep(0);
        hits.value++;
      };
      const flush = async () => {
        await turns(2);
        const seen = hits.value;
        if (fixed) hits.value = 0;
        await sleep(0); // sends them
        if (!fixed) hits.value = 0;
        return seen;
      };
      await gather(hit, flush, async () => {
        await turns(1);
        await hit();
      });
    },
  },
  {
    bug: "check-then-act",
    name: "two withdrawals pass the same check",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let balance = 100;
      const lock = new Lock();
      const withdraw = async (delay: number) => {
        await turns(delay);
        using _guard = fixed ? await lock.acquire() : undefined;
        if (balance < 80) return;
        await sleep(0); // asks for the limit
        balance -= 80;
      };
      await gather(
        () => withdraw(0),
        () => withdraw(1),
      );
      assert.ok(balance >= 0);
    },
  },
  {
    bug: "check-then-act",
    name: "the last seat is sold twice",
    finder: "explore",
    deviations: 0,
    failure: "AssertionError",
    body: (fixed) => async () => {
      const seats = new Set(["1A"]);
      const sold: string[] = [];
      const buy = async (who: string) => {
        const [seat] = seats;
        if (seat === undefined) return;
        if (fixed) seats.delete(seat);
        await sleep(0.1); // takes the money
        seats.delete(seat);
        sold.push(who);
      };
      await gather(
        () => buy("ann"),
        () => buy("bob"),
      );
      assert.equal(sold.length, 1);
    },
  },
  {
    bug: "write skew",
    name: "both doctors leave, each because the other one is there",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      const onCall = new Set(["ann", "bob"]);
      const roster = new Lock();
      const leave = async (who: string, delay: number) => {
        await turns(delay);
        using _guard = fixed ? await roster.acquire() : undefined;
        if (onCall.size < 2) return;
        await sleep(0); // writes the request
        onCall.delete(who);
      };
      await gather(
        () => leave("ann", 0),
        () => leave("bob", 1),
      );
      assert.ok(onCall.size >= 1);
    },
  },
  {
    bug: "cache stampede",
    name: "a page is rendered twice for two readers",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let renders = 0;
      const pages = new Map<string, Promise<string>>();
      const done = new Map<string, string>();
      const render = async (path: string) => {
        renders++;
        await sleep(0);
        return `<${path}>`;
      };
      const read = async (path: string, delay: number) => {
        await turns(delay);
        if (fixed) {
          const known = pages.get(path) ?? render(path);
          pages.set(path, known);
          return await known;
        }
        const known = done.get(path) ?? (await render(path));
        done.set(path, known);
        return known;
      };
      await gather(
        () => read("/", 0),
        () => read("/", 1),
      );
      assert.equal(renders, 1);
    },
  },
  {
    bug: "double initialisation",
    name: "a connection is opened by each of its first users",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let opened = 0;
      let connection: { readonly id: number } | undefined;
      const opening = new Lock();
      const connect = async () => {
        using _guard = fixed ? await opening.acquire() : undefined;
        if (connection !== undefined) return connection;
        await sleep(0);
        connection = { id: ++opened };
        return connection;
      };
      const query = async (delay: number) => {
        await turns(delay);
        return (await connect()).id;
      };
      await gather(
        () => query(0),
        () => query(1),
      );
      assert.equal(opened, 1);
    },
  },
  {
    bug: "in-flight map not cleaned",
    name: "a failed load is remembered for ever",
    finder: "explore",
    deviations: 0,
    failure: "Error",
    body: (fixed) => async () => {
      let attempts = 0;
      const loading = new Map<string, Promise<number>>();
      const load = async () => {
        attempts++;
        await sleep(0);
        if (attempts === 1) throw new Error("unreachable");
        return attempts;
      };
      const get = (key: string): Promise<number> => {
        let known = loading.get(key);
        if (known === undefined) {
          known = load();
          loading.set(key, known);
          if (fixed) known.catch(() => loading.delete(key));
        }
        return known;
      };
      await get("rates").catch(() => 0);
      await sleep(1);
      assert.equal(await get("rates"), 2);
    },
  },
  {
    bug: "stale closure over state",
    name: "a reply is built from the list as it was",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let members: readonly string[] = ["ann"];
      const join = async (who: string, delay: number) => {
        await turns(delay);
        const before = members;
        await sleep(0); // greets
        members = fixed ? [...members, who] : [...before, who];
      };
      await gather(
        () => join("bob", 0),
        () => join("eve", 1),
      );
      assert.deepEqual([...members].sort(), ["ann", "bob", "eve"]);
    },
  },
  {
    bug: "torn read",
    name: "a sum is taken in the middle of a transfer",
    finder: "explore",
    deviations: 2,
    failure: "RaceError",
    body: (fixed) => async () => {
      const bank = testing.tracked({ ann: 100, bob: 0 }, { name: "bank" });
      const transfer = async () => {
        bank.ann -= 10;
        if (!fixed) await sleep(0);
        bank.bob += 10;
      };
      const audit = async () => {
        await turns(2);
        return bank.ann + bank.bob;
      };
      await gather(transfer, audit);
    },
  },
  {
    bug: "ABA",
    name: "a slot looks untouched, but was emptied and filled again",
    finder: "explore",
    deviations: 2,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let slot = { job: "a", version: 1 };
      let lost = false;
      const replace = async () => {
        const seen = slot;
        await sleep(0); // prepares the next one
        const isSame = fixed ? slot === seen : slot.job === seen.job;
        if (!isSame) return;
        if (slot.version !== seen.version) lost = true;
        slot = { job: "b", version: slot.version + 1 };
      };
      const recycle = async () => {
        await turns(2);
        slot = { job: "x", version: slot.version + 1 };
        slot = { job: "a", version: slot.version + 1 };
      };
      await gather(replace, recycle);
      assert.equal(lost, false);
    },
  },
  {
    bug: "pagination cursor race",
    name: "two fetchers ask for the same page",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let cursor = 0;
      const pages: number[] = [];
      const fetchNext = async (delay: number) => {
        await turns(delay);
        const page = cursor;
        if (fixed) cursor++;
        await sleep(0);
        pages.push(page);
        if (!fixed) cursor = page + 1;
      };
      await gather(
        () => fetchNext(0),
        () => fetchNext(1),
      );
      assert.deepEqual(pages.sort(), [0, 1]);
    },
  },
  {
    bug: "connection handed out twice",
    name: "a pool looks for a free connection and takes it later",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      const pool = [
        { id: 1, busy: false },
        { id: 2, busy: false },
      ];
      const work = async (delay: number) => {
        await turns(delay);
        const free = pool.find(({ busy }) => !busy);
        assert.ok(free !== undefined);
        if (fixed) free.busy = true;
        await sleep(0); // pings it
        if (!fixed) {
          assert.equal(free.busy, false, "used by two");
          free.busy = true;
        }
        await turns(3);
        free.busy = false;
      };
      await gather(
        () => work(0),
        () => work(1),
      );
    },
  },
  {
    bug: "leader election",
    name: "two nodes find no leader and become one",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let leader: string | undefined;
      const leaders: string[] = [];
      const campaign = async (name: string, delay: number) => {
        await turns(delay);
        if (leader !== undefined) return;
        if (fixed) leader = name;
        await sleep(0); // tells the others
        leader = name;
        leaders.push(name);
      };
      await gather(
        () => campaign("a", 0),
        () => campaign("b", 1),
      );
      assert.equal(leaders.length, 1);
    },
  },
  {
    bug: "first one wins",
    name: "two answers are taken for the first",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      const accepted: string[] = [];
      let answered = false;
      const ask = async (mirror: string, delay: number) => {
        await turns(delay);
        if (answered) return;
        if (fixed) answered = true;
        await sleep(0); // checks the signature
        answered = true;
        accepted.push(mirror);
      };
      await gather(
        () => ask("north", 0),
        () => ask("south", 1),
      );
      assert.equal(accepted.length, 1);
    },
  },
  {
    bug: "reference counting",
    name: "a resource is closed by its last user while a new one comes",
    finder: "explore",
    deviations: 2,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let users = 1;
      let isOpen = true;
      const leave = async () => {
        users--;
        if (users > 0) return;
        await sleep(0); // flushes
        if (!fixed || users === 0) isOpen = false;
      };
      const visit = async () => {
        await turns(2);
        if (!isOpen) return;
        users++;
        await sleep(0);
        assert.ok(isOpen, "closed while in use");
        users--;
      };
      await gather(leave, visit);
    },
  },
  {
    bug: "iterator invalidated",
    name: "subscribers leave while they are told",
    finder: "explore",
    deviations: 0,
    failure: "AssertionError",
    body: (fixed) => async () => {
      const subscribers = ["a", "b", "c"];
      const told: string[] = [];
      const publish = async () => {
        for (const name of fixed ? [...subscribers] : subscribers) {
          await sleep(0);
          told.push(name);
          if (name === "a") subscribers.splice(subscribers.indexOf("a"), 1); // it wanted one message
        }
      };
      await publish();
      assert.deepEqual(told, ["a", "b", "c"]);
    },
  },
  {
    bug: "messages out of order",
    name: "a sequence number is drawn before the wait for the socket",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let sequence = 0;
      const sent: number[] = [];
      const socket = new Lock();
      const send = async (delay: number) => {
        await turns(delay);
        const early = ++sequence;
        await sleep(0); // compresses
        using _guard = await socket.acquire();
        sent.push(fixed ? sent.length + 1 : early);
      };
      await gather(
        () => send(0),
        () => send(0),
      );
      assert.deepEqual(sent, [1, 2]);
    },
  },
  {
    bug: "coalescing",
    name: "a change that comes during the save is not saved",
    finder: "explore",
    deviations: 1,
    failure: "AssertionError",
    body: (fixed) => async () => {
      let text = "";
      let saved = "";
      let isSaving = false;
      let isDirty = false;
      const save = async () => {
        isDirty = true;
        if (isSaving) return;
        isSaving = true;
        do {
          isDirty = false;
          const now = text;
          await sleep(0);
          saved = now;
        } while (fixed && isDirty);
        isSaving = false;
      };
      const type = async (word: string, delay: number) => {
        await turns(delay);
        text += word;
        await save();
      };
      await gather(
        () => type("a", 0),
        () => type("b", 1),
      );
      assert.equal(saved, text);
    },
  },
];
