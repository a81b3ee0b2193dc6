import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { type Farm, openFarm } from "../../farm/farm.ts";
import { isAllowed, literalOf } from "../../src/egress/address.ts";
import { egressTo, failure, run } from "../support/farm.ts";

let farm: Farm;
before(async () => {
  farm = await openFarm();
});
after(() => farm.close());

/** By hand, from the registries of the IANA: what is not the public internet. */
const special = new BlockList();
for (const [base, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const)
  special.addSubnet(base, bits);

type Bytes = readonly [number, number, number, number];
const byte = fc.integer({ min: 0, max: 255 });
const anyAddress: fc.Arbitrary<Bytes> = fc.tuple(byte, byte, byte, byte);
const privateAddress: fc.Arbitrary<Bytes> = fc.oneof(
  fc.tuple(fc.constantFrom(10, 127, 0), byte, byte, byte),
  fc.tuple(fc.constant(192), fc.constant(168), byte, byte),
  fc.tuple(fc.constant(172), fc.integer({ min: 16, max: 31 }), byte, byte),
  fc.constant([169, 254, 169, 254] as const),
);

const dotted = (bytes: Bytes): string => bytes.join(".");
const number = (bytes: readonly number[]): number => bytes.reduce((sum, one) => sum * 256 + one, 0);

/** One way to write a part: decimal, octal, hexadecimal, with zeros in front. */
const part = fc.constantFrom(
  (value: number) => `${value}`,
  (value: number) => `0${value.toString(8)}`,
  (value: number) => `0x${value.toString(16)}`,
  (value: number) => `0X${value.toString(16).toUpperCase()}`,
  (value: number) => `0000${value.toString(8)}`,
);

/** Ways to write characters that mean the same in a URL. */
const disguise = fc.constantFrom(
  (text: string) => text,
  (text: string) => text.replaceAll(".", "。"),
  (text: string) =>
    text.replaceAll(/[0-9]/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
  (text: string) => text.replaceAll(/[0-9]/g, (digit) => `%3${digit}`),
  (text: string) => `${text}.`,
);

const spelling = fc
  .tuple(
    privateAddress,
    fc.integer({ min: 1, max: 4 }),
    fc.array(part, { minLength: 4, maxLength: 4 }),
    disguise,
  )
  .map(([bytes, parts, writers, hide]) => {
    const leading = bytes.slice(0, parts - 1);
    const rest = number(bytes.slice(parts - 1));
    return hide([...leading, rest].map((value, index) => writers[index]?.(value) ?? "").join("."));
  });

const carrier = fc
  .tuple(
    privateAddress,
    fc.constantFrom("::ffff:", "::", "::ffff:0:", "64:ff9b::", "64:ff9b:1::", "2001:db8::5efe:"),
    fc.boolean(),
  )
  .map(([bytes, prefix, inHex]) => {
    const [a, b, c, d] = bytes;
    const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
    return `[${prefix}${inHex ? hex : dotted(bytes)}]`;
  });

test("an IPv4 address is public iff the registries say so", () => {
  fc.assert(
    fc.property(fc.oneof(anyAddress, privateAddress), (bytes) => {
      assert.equal(isAllowed(dotted(bytes), []), !special.check(dotted(bytes)));
    }),
    { numRuns: 2000 },
  );
});

test("a mapped address is what it maps", () => {
  fc.assert(
    fc.property(anyAddress, (bytes) => {
      assert.equal(isAllowed(`::ffff:${dotted(bytes)}`, []), isAllowed(dotted(bytes), []));
    }),
  );
});

test("no spelling of a private address is let through", async () => {
  const egress = egressTo(farm, { allow: [] });
  await fc.assert(
    fc.asyncProperty(fc.oneof(spelling, carrier), async (host) => {
      const url = URL.parse(`http://${host}/`);
      if (url === null) return; // no URL at all
      assert.notEqual(literalOf(url.hostname), undefined, `${host} is ${url.hostname}`);
      const error = await failure(run(() => egress.resolve(url)));
      assert.equal(error.code, "blocked_address");
    }),
    { numRuns: 300 },
  );
  assert.equal(farm.canaryHits, 0);
});

test("one private answer of the name server condemns the name", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyAddress, { maxLength: 3 }),
      privateAddress,
      async (others, bad) => {
        const addresses = [...others, bad].map(dotted);
        const egress = egressTo(farm, { allow: [], resolver: async () => addresses });
        const error = await failure(run(() => egress.resolve(new URL("http://a.test/"))));
        assert.equal(error.code, "blocked_address");
      },
    ),
    { numRuns: 100 },
  );
});
