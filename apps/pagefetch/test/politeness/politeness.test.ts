import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as asyncio from "asyncio-ts";
import { cancelSweep, explore } from "asyncio-ts/testing";
import { PageError } from "../../src/contract/errors.ts";
import type { Turn } from "../../src/contract/parts.ts";
import {
  createPoliteness,
  type PolitenessOptions,
  siteOf,
} from "../../src/politeness/politeness.ts";
import { virtual } from "../support/virtual.ts";

interface Visit {
  readonly host?: string;
  readonly addresses?: readonly string[];
  readonly crawlDelay?: number;
}

/** A politeness, and the seconds at which each visit of `host` begins. */
function world(options?: PolitenessOptions) {
  const politeness = createPoliteness(options);
  const enter = ({
    host = "www.example.org",
    addresses = [],
    crawlDelay,
  }: Visit = {}): Promise<Turn> =>
    politeness.enter({ url: new URL(`http://${host}/`), addresses, crawlDelay });
  const begins = async (visits: readonly Visit[], seconds = 0): Promise<number[]> => {
    const times: number[] = [];
    await asyncio.gather(
      visits.map((visit) => async () => {
        const turn = await enter(visit);
        times.push(Math.round(asyncio.getRunningLoop().time() * 1000) / 1000);
        await asyncio.sleep(seconds);
        turn.end({ status: 200 });
      }),
    );
    return times;
  };
  return { politeness, enter, begins };
}

describe("which site a host belongs to", () => {
  const table = {
    "www.example.co.uk": "example.co.uk",
    "a.b.example.org": "example.org",
    "ann.github.io": "ann.github.io",
    localhost: "localhost",
    "192.0.2.7": "192.0.2.7",
    "[2001:db8::1]": "2001:db8::1",
    "WWW.Example.ORG.": "example.org",
  };
  for (const [host, site] of Object.entries(table)) {
    test(`${host} to ${site}`, () => assert.equal(siteOf(host), site));
  }
});

describe("the pace", () => {
  test(
    "is one request a second for a domain, whatever its hosts",
    virtual(async () => {
      const { begins } = world();
      const hosts = ["a.example.org", "b.example.org", "example.org"];
      assert.deepEqual(await begins(hosts.map((host) => ({ host }))), [0, 1, 2]);
    }),
  );

  test(
    "is none between different domains",
    virtual(async () => {
      const { begins } = world();
      const hosts = ["a.example", "b.example", "c.example"];
      assert.deepEqual(await begins(hosts.map((host) => ({ host }))), [0, 0, 0]);
    }),
  );

  test(
    "is one for all domains behind an address",
    virtual(async () => {
      const { begins } = world();
      const visits = ["a", "b", "c"].map((name) => ({
        host: `${name}.example`,
        addresses: ["192.0.2.1", "192.0.2.2"],
      }));
      assert.deepEqual(await begins(visits), [0, 1, 2]);
    }),
  );

  test(
    "lets no more than two be under way",
    virtual(async () => {
      const { begins } = world();
      assert.deepEqual(await begins([{}, {}, {}, {}], 10), [0, 1, 10, 11]);
    }),
  );

  test(
    "is kept by all processes that ask the same sites together",
    virtual(async () => {
      assert.deepEqual(await world({ processes: 3 }).begins([{}, {}, {}]), [0, 3, 6]);
      const two = world({ domain: { interval: 0.1 }, processes: 2 });
      const slow = { host: "a.example", crawlDelay: 5 };
      assert.deepEqual(await two.begins([slow, slow]), [6, 16]);
      assert.deepEqual(await two.begins([{}, {}], 10), [16, 26]);
      assert.throws(() => createPoliteness({ processes: 0 }), /processes: expected a whole number/);
    }),
  );

  test(
    "is slower for a host with a crawl-delay, and for no other",
    virtual(async () => {
      const { begins } = world({ domain: { interval: 0.1 }, maxCrawlDelay: 20 });
      assert.deepEqual(await begins([{ crawlDelay: 5 }, { crawlDelay: 5 }]), [0, 5]);
      assert.deepEqual(await begins([{ host: "b.example.org" }]), [5]);
      const far = { host: "c.example", crawlDelay: 86_400 };
      assert.deepEqual(await begins([far, far]), [5, 25]);
    }),
  );

  test(
    "is the operator's for a site of theirs, its addresses included",
    virtual(async () => {
      const { begins } = world({ sites: { "Example.org": { interval: 0, inFlight: 9 } } });
      const visit = { addresses: ["192.0.2.1"] };
      assert.deepEqual(await begins([visit, visit, visit]), [0, 0, 0]);
    }),
  );
});

describe("a refusal", () => {
  test(
    "closes the site for as long as it asks",
    virtual(async (loop) => {
      const { enter, politeness } = world();
      (await enter()).end({ status: 429, retryAfter: 30 });
      await enter();
      assert.equal(loop.time(), 30);
      assert.equal(politeness.statistics().refused, 1);
    }),
  );

  test(
    "that asks for a year closes it for a quarter of an hour",
    virtual(async (loop) => {
      const { enter } = world();
      (await enter()).end({ status: 503, retryAfter: 31_536_000 });
      await enter();
      assert.equal(loop.time(), 900);
    }),
  );

  test(
    "that does not say how long closes it for twice as long each time",
    virtual(async (loop) => {
      const { enter } = world();
      const times: number[] = [];
      for (let n = 0; n < 4; n++) {
        (await enter()).end({ status: 429 });
        times.push(loop.time());
      }
      assert.deepEqual(times, [0, 2, 6, 14]);
    }),
  );

  test(
    "counts once for those who were under way together",
    virtual(async (loop) => {
      const { enter } = world({ domain: { interval: 0, inFlight: 5 } });
      const turns = await asyncio.gather([1, 2, 3, 4, 5].map(() => () => enter()));
      await asyncio.sleep(1);
      for (const turn of turns) turn.end({ status: 429 });
      await enter();
      assert.equal(Math.round(loop.time() * 1000), 3000);
    }),
  );

  test(
    "is forgotten after a good answer",
    virtual(async (loop) => {
      const { enter } = world({ domain: { interval: 0 } });
      (await enter()).end({ status: 429 });
      (await enter()).end({ status: 200, latency: 0 });
      (await enter()).end({ status: 429 });
      await enter();
      assert.equal(Math.round(loop.time() * 1000), 4000);
    }),
  );

  test(
    "by a proxy or a cancellation is none of the site's",
    virtual(async (loop) => {
      const { enter } = world({ domain: { interval: 0 } });
      (await enter()).end({ failure: "proxy_failed" });
      (await enter()).end({ status: 429, cancelled: true });
      await enter();
      assert.equal(Math.round(loop.time()), 0);
    }),
  );
});

describe("a slow site", () => {
  test(
    "is asked less often, and more often again when it is fast",
    virtual(async (loop) => {
      const { enter } = world();
      (await enter()).end({ status: 200, latency: 20 });
      await enter().then((turn) => turn.end({ status: 200, latency: 0.1 }));
      const slow = loop.time();
      assert.ok(slow > 5, String(slow));
      for (let n = 0; n < 8; n++) (await enter()).end({ status: 200, latency: 0.1 });
      const before = loop.time();
      (await enter()).end({ status: 200 });
      assert.ok(loop.time() - before < 1.1);
    }),
  );

  test(
    "does not look fast because it refuses fast",
    virtual(async (loop) => {
      const { enter } = world();
      (await enter()).end({ status: 200, latency: 20 });
      (await enter()).end({ status: 500, latency: 0.01 });
      const before = loop.time();
      await enter();
      assert.ok(loop.time() - before > 5);
    }),
  );
});

describe("a wait that cannot end in time", () => {
  test(
    "is told at once, with the time, as the site's wish",
    virtual(async (loop) => {
      const { enter } = world();
      (await enter()).end({ status: 429, retryAfter: 30 });
      await assert.rejects(
        asyncio.timeout(10, () => enter()),
        (error) => {
          assert.ok(error instanceof PageError);
          assert.equal(error.code, "target_rate_limited");
          assert.equal(error.details.retryAfter, 30);
          return true;
        },
      );
      assert.equal(loop.time(), 0);
    }),
  );

  test(
    "is told as our own where only our requests are in the way",
    virtual(async () => {
      const { enter } = world({ domain: { interval: 100, inFlight: 5 } });
      (await enter()).end({ status: 200 });
      await assert.rejects(
        asyncio.timeout(10, () => enter()),
        { code: "timeout" },
      );
      (await asyncio.timeout(101, () => enter())).end({ status: 200 });
    }),
  );
});

describe("nothing is lost", () => {
  const trial = async (): Promise<void> => {
    const { enter, politeness } = world({ domain: { interval: 1, inFlight: 1 } });
    const visit = async (host: string): Promise<void> => {
      const addresses =
        host === "a.example" ? ["192.0.2.2", "192.0.2.1"] : ["192.0.2.1", "192.0.2.2"];
      const turn = await enter({ host, addresses });
      try {
        await asyncio.sleep(0.5);
      } finally {
        turn.end({ status: 200, latency: 0.5 });
      }
    };
    await asyncio.gather(["a.example", "b.example", "a.example"].map((host) => () => visit(host)));
    assert.equal(politeness.statistics().entered, 3);
  };

  test("in any order of the schedule", async () => {
    await explore(trial, { iterations: 60 });
  });

  test("by a cancellation at any place: the next one gets its turn", async () => {
    const { enter } = world({ domain: { interval: 0, inFlight: 1 } });
    await cancelSweep(async () => {
      const turn = await enter({ addresses: ["192.0.2.1"] });
      try {
        await asyncio.sleep(0.01);
      } finally {
        turn.end({ status: 200 });
      }
    });
  });

  test(
    "and a turn ends once",
    virtual(async () => {
      const { enter } = world();
      const turn = await enter();
      turn.end({});
      assert.throws(() => turn.end({}), /ended already/);
    }),
  );

  test(
    "and what nobody has used for a while is forgotten",
    virtual(async () => {
      const { enter, politeness } = world({ idle: 10 });
      for (let n = 0; n < 500; n++) (await enter({ host: `h${n}.example` })).end({ status: 200 });
      assert.equal(politeness.statistics().lanes, 500);
      await asyncio.sleep(20);
      // A few with each use, so that no use is slow.
      for (let n = 0; n < 50; n++) (await enter({ host: `n${n}.example` })).end({ status: 200 });
      assert.equal(politeness.statistics().lanes, 50);
    }),
  );
});

describe("bad options are refused by name", () => {
  const table: [PolitenessOptions, RegExp][] = [
    [{ domain: { interval: -1 } }, /domain\.interval/],
    [{ domain: { interval: Number.NaN } }, /domain\.interval/],
    [{ address: { inFlight: 1.5 } }, /address\.inFlight/],
    [{ sites: { "example.org": { inFlight: 0 } } }, /sites\["example\.org"\]\.inFlight/],
    [{ sites: { "www.example.org": {} } }, /sites: .*"www\.example\.org".* is "example\.org"/],
    [{ sites: { "*.example.org": {} } }, /sites: expected registrable domains/],
    [{ maxCrawlDelay: Number.POSITIVE_INFINITY }, /maxCrawlDelay/],
    [{ maxPause: -1 }, /maxPause/],
  ];
  for (const [options, message] of table) {
    test(String(message), () => {
      assert.throws(() => createPoliteness(options), { name: "RangeError", message });
    });
  }
});
