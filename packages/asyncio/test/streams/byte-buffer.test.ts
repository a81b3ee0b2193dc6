import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteBuffer } from "../../src/streams/byte-buffer.ts";
import { type PieceDecoder, pieceDecoders } from "../../src/streams/text.ts";
import { drawer } from "../../src/testing/random.ts";

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/** Text of ASCII, of other characters, broken at will; with line ends in it. */
function someBytes(random: () => number, length: number): Uint8Array {
  const kinds = [
    () => Uint8Array.of(32 + random() * 90),
    () => new TextEncoder().encode(random() < 0.5 ? "é" : "日"),
    () => new TextEncoder().encode("🙂"),
    () => Uint8Array.of(128 + random() * 128),
  ];
  const all: number[] = [];
  while (all.length < length) {
    // Long runs of one kind: a run of ASCII is decoded together, others are not.
    const kind = kinds[Math.floor(random() * kinds.length)];
    for (let left = random() * 1500; left > 0 && kind !== undefined; left--) {
      all.push(...kind());
      if (random() < 0.02) all.push(NEWLINE);
    }
  }
  return Uint8Array.from(all);
}

test("pieces of text are those of their bytes, whatever comes in which chunks", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const draw = drawer(seed);
    const random = () => draw(1e6) / 1e6;
    const encoding = seed % 4 === 0 ? "latin1" : "utf-8";
    const { first, others } = pieceDecoders("`test`", encoding);
    const all = someBytes(random, 6000);
    const buffer = new ByteBuffer();
    let [came, taken] = [0, 0];
    while (taken < all.length) {
      if (came < all.length && (buffer.length === 0 || random() < 0.3)) {
        const size = Math.min(1 + Math.floor(random() * 3000), all.length - came);
        buffer.append(all.slice(came, came + size));
        came += size;
        continue;
      }
      const lineEnd = all.indexOf(NEWLINE, taken);
      const end = lineEnd === -1 || lineEnd >= came ? came : lineEnd + 1;
      const pieceDecoder = random() < 0.1 ? first : others;
      const text = buffer.text(0, end - taken, pieceDecoder);
      assert.equal(text, pieceDecoder.decoder.decode(all.subarray(taken, end)), `seed ${seed}`);
      buffer.drop(end - taken);
      taken = end;
    }
  }
});

/** The text of a line without its "\n". */
function lineIn(bytes: Uint8Array, decoder: InstanceType<typeof TextDecoder>): string {
  return decoder.decode(bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes);
}

test("lines that are taken as text are those of their bytes, whatever comes in which chunks", () => {
  let [quick, slow] = [0, 0];
  for (let seed = 1; seed <= 16; seed++) {
    const draw = drawer(seed);
    const random = () => draw(1e6) / 1e6;
    const encoding = seed % 4 === 0 ? "latin1" : "utf-8";
    const { first, others } = pieceDecoders("`test`", encoding);
    // Also lines of more than is decoded at once, and some that end in "\r\n".
    const longest = seed % 3 === 0 ? 30_000 : 200;
    const all = someBytes(random, 30_000).filter((byte) => byte < 128 || seed % 2 === 0);
    for (let at = 0; at < all.length; at += Math.ceil(random() * longest)) all[at] = NEWLINE;
    for (let at = 1; at < all.length; at += 1 + Math.floor(random() * 400))
      if (all[at] === NEWLINE) all[at - 1] = CARRIAGE_RETURN;
    const buffer = new ByteBuffer();
    let [came, taken] = [0, 0];
    while (taken < all.length) {
      if (came < all.length && (buffer.length === 0 || random() < 0.2)) {
        const size = Math.min(1 + Math.floor(random() * 20_000), all.length - came);
        buffer.append(all.slice(came, came + size), random() < 0.3);
        came += size;
        continue;
      }
      const pieceDecoder = random() < 0.05 ? first : others;
      const found = all.subarray(taken, came).indexOf(NEWLINE);
      const limit = random() < 0.1 ? 50 : all.length;
      const line = buffer.takeLine(limit, pieceDecoder);
      if (line === undefined) {
        slow++;
        const size = found === -1 ? buffer.length : found + 1;
        buffer.drop(size);
        taken += size;
        continue;
      }
      quick++;
      const expected = lineIn(all.subarray(taken, taken + found), pieceDecoder.decoder);
      assert.equal(line, expected, `seed ${seed}`);
      assert.ok(found !== -1 && found <= limit, `seed ${seed}`);
      taken += found + 1;
      assert.equal(buffer.length, came - taken);
    }
  }
  assert.ok(quick > slow, `${quick} lines were taken, and ${slow} were not`);
});

test("the longer only lines are read, the more of them are decoded together", () => {
  const sizes: number[] = [];
  const utf8 = new TextDecoder();
  const pieceDecoder = notingDecoder(sizes);
  const bytes = new Uint8Array(400_000).fill(97);
  for (let at = 0, length = 0; at < bytes.length; at += ++length % 150) {
    bytes[at] = NEWLINE;
    if (at > 0 && length % 3 === 0) bytes[at - 1] = CARRIAGE_RETURN;
  }
  const buffer = new ByteBuffer();
  const read = (all: Uint8Array): number => {
    let taken = 0;
    for (let from = 0; from < all.length; from += 140_000) {
      buffer.append(all.subarray(from, from + 140_000));
      for (;;) {
        const found = all.indexOf(NEWLINE, taken);
        const line = buffer.takeLine(1e6, pieceDecoder);
        if (line === undefined) break;
        assert.equal(line, lineIn(all.subarray(taken, found), utf8));
        taken = found + 1;
      }
    }
    return taken;
  };
  const taken = read(bytes);
  assert.ok(taken > bytes.length - 300);
  assert.deepEqual(sizes.slice(0, 4), [8192, 16_384, 32_768, 65_536]);
  assert.ok(sizes.length < 12, `${sizes}`);

  // One line that is longer than all of that, and it begins with little again.
  buffer.clear();
  sizes.length = 0;
  read(new Uint8Array(100_000).fill(97));
  buffer.clear();
  read(bytes.subarray(0, 70_000));
  assert.deepEqual(sizes.slice(0, 2), [65_536, 8192]);
});

/** A decoder of UTF-8 that notes how many bytes it is given. */
function notingDecoder(sizes: number[]): PieceDecoder {
  const utf8 = new TextDecoder();
  const decode = (bytes: Uint8Array): string => {
    sizes.push(bytes.length);
    return utf8.decode(bytes);
  };
  return { decoder: Object.assign(new TextDecoder(), { decode }), isAscii: true };
}

test("a character of several bytes spoils no more than a few lines", () => {
  const sizes: number[] = [];
  const pieceDecoder = notingDecoder(sizes);
  const lines = Array.from(
    { length: 4000 },
    (_, at) => `${at === 2000 ? "é" : "e"}${"-".repeat(78)}`,
  );
  const buffer = new ByteBuffer();
  buffer.append(new TextEncoder().encode(`${lines.join("\n")}\n`));

  let nSpoilt = 0;
  for (const line of lines) {
    const quick = buffer.takeLine(1e6, pieceDecoder);
    if (quick !== undefined) {
      assert.equal(quick, line);
      continue;
    }
    nSpoilt++;
    buffer.drop(new TextEncoder().encode(line).length + 1);
  }

  assert.ok(nSpoilt <= 8192 / 80 + 1, `${nSpoilt} lines`);
  assert.ok(sizes.length < 20, `${sizes}`);
});

test("two decoders that take turns decode little for each line", () => {
  const sizes: number[] = [];
  const decoders = [notingDecoder(sizes), notingDecoder(sizes)] as const;
  const buffer = new ByteBuffer();
  buffer.append(new TextEncoder().encode(`${"-".repeat(79)}\n`.repeat(4000)));
  for (let at = 0; at < 2000; at++) assert.ok(buffer.takeLine(1e6, decoders[0]));
  assert.equal(Math.max(...sizes), 65_536);
  sizes.length = 0;

  for (let at = 0; at < 100; at++) assert.ok(buffer.takeLine(1e6, decoders[at % 2 === 0 ? 1 : 0]));

  assert.equal(Math.max(...sizes), 8192);
});

test("an encoding has the same decoders under all its labels", () => {
  for (const [one, other] of [
    ["utf8", "UTF-8"],
    ["latin1", "iso-8859-1"],
  ] as const)
    assert.equal(pieceDecoders("`test`", one), pieceDecoders("`test`", other));
});

test("short fields are those of their bytes, and end where their lines do, from any place", () => {
  let [found, unknown] = [0, 0];
  for (let seed = 1; seed <= 40; seed++) {
    const draw = drawer(seed);
    const random = () => draw(1e6) / 1e6;
    const { others } = pieceDecoders("`test`", seed % 4 === 0 ? "latin1" : "utf-8");
    const all = someBytes(random, 3000).filter((byte) => byte < 128 || seed % 3 === 0);
    const longest = seed % 5 === 0 ? 200 : 12;
    for (let at = 0; at < all.length; at += 1 + Math.floor(random() * longest)) all[at] = NEWLINE;
    const buffer = new ByteBuffer();
    buffer.append(all.subarray(0, 2000));
    let dropped = 0;
    for (let at = 0; at < all.length - 30; ) {
      if (at > 1500 && dropped + buffer.length < all.length) buffer.append(all.subarray(2000));
      const from = at - dropped;
      const newline = buffer.nearNewline(from, others);
      const expected = all.indexOf(NEWLINE, at);
      if (newline === -1) unknown++;
      else {
        found++;
        assert.equal(newline + dropped, expected, `seed ${seed}`);
      }
      const end = random() < 0.5 ? expected : at + 1 + Math.floor(random() * 30);
      const text = buffer.text(from, end - dropped, others);
      assert.equal(text, others.decoder.decode(all.subarray(at, end)), `seed ${seed}, ${at}`);
      at = random() < 0.1 ? Math.max(dropped, at - 50) : end + 1; // as a parser that is called again
      if (random() < 0.02 && at > dropped) {
        buffer.drop(at - dropped);
        dropped = at;
      }
    }
  }
  assert.ok(found > unknown, `${found} ends were found, and ${unknown} were not`);
});

test("what is lent is copied, and arrays that serve again take nothing from who has a part", () => {
  for (let seed = 1; seed <= 16; seed++) {
    const draw = drawer(seed);
    const lent = new Uint8Array(9000);
    const buffers = [new ByteBuffer(), new ByteBuffer(), new ByteBuffer()].map((buffer) => ({
      buffer,
      came: 0,
      taken: 0,
    }));
    const given: { readonly piece: Uint8Array; readonly first: number }[] = [];
    for (let round = 0; round < 300; round++) {
      const one = buffers[draw(buffers.length)] ?? assert.fail();
      const chunk = lent.subarray(0, 1 + draw(lent.length));
      for (let index = 0; index < chunk.length; index++) chunk[index] = one.came + index;
      one.buffer.append(chunk, true);
      one.came += chunk.length;
      lent.fill(0);
      // Mostly to the end: then the array may serve another buffer.
      const size = draw(3) === 0 ? draw(one.buffer.length) : one.buffer.length;
      if (draw(3) > 0) one.buffer.drop(size);
      else given.push({ piece: one.buffer.take(size), first: one.taken });
      one.taken += size;
    }
    for (const { buffer, taken } of buffers)
      given.push({ piece: buffer.take(buffer.length), first: taken });
    for (const { piece, first } of given)
      assert.ok(piece.every((byte, index) => byte === (first + index) % 256, `seed ${seed}`));
  }
});

test("pieces that were given away are not written to, whatever comes after them", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const draw = drawer(seed);
    const buffer = new ByteBuffer();
    const given: { readonly piece: Uint8Array; readonly first: number }[] = [];
    let [came, taken] = [0, 0];
    for (let round = 0; round < 200; round++) {
      const chunk = Uint8Array.from({ length: 1 + draw(300) }, (_, index) => came + index);
      buffer.append(chunk);
      came += chunk.length;
      // Mostly text, which gives nothing away.
      const size = Math.min(draw(400), buffer.length);
      if (draw(5) === 0) given.push({ piece: buffer.take(size), first: taken });
      else buffer.drop(size);
      taken += size;
    }
    for (const { piece, first } of given)
      assert.ok(
        piece.every((byte, index) => byte === ((first + index) & 0xff)),
        `seed ${seed}`,
      );
  }
});

test("a small piece of a large chunk does not keep it alive", () => {
  const buffer = new ByteBuffer();
  buffer.append(new Uint8Array(65_536));

  assert.equal(buffer.take(10).buffer.byteLength, 10);
});
