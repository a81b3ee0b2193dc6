// The plan of the bundled site: which pages exist, what they link to, how slow they are and which
// of them misbehave, and how.
//
// Everything is drawn from one seed, so that every crawl of the site has the same outcome and a
// test can say what it must be. Well-behaved pages form a tree under the home page (every one can
// be reached); the others are leaves of it, so that no failure hides a part of the site.
//
// The pages live on three hosts that differ in the port; `site.ts` serves them.

/** What a request for a page of the site meets. */
export type Behaviour =
  | { readonly kind: "page" }
  /** HTTP 500 the first time, the page from then on. */
  | { readonly kind: "flaky" }
  | { readonly kind: "broken" }
  | { readonly kind: "missing" }
  /** Takes the request and never answers. */
  | { readonly kind: "hanging" }
  /** Sends one byte every 100 ms, for a minute. */
  | { readonly kind: "dripping" }
  /** Breaks the connection in the middle of the body. */
  | { readonly kind: "dropped" }
  /** Sends more than a crawler may want to hold in memory. */
  | { readonly kind: "huge" }
  | { readonly kind: "image" }
  /** An ordinary page in the section that robots.txt closes. */
  | { readonly kind: "private" }
  | { readonly kind: "redirect"; readonly status: number; readonly target: string }
  /** Redirects to a next page that redirects to a next page, without end. */
  | { readonly kind: "endless" };

/** A link as the page spells it; the crawler has to see that many spellings are one page. */
export interface Link {
  readonly target: string;
  readonly spelling: "plain" | "absolute" | "dotted" | "fragment" | "shouting";
}

/** One page. Its key in the plan is `host path`, for example `1 /birch/cedar-12`. */
export interface Entry {
  readonly host: number;
  readonly path: string;
  /** Seconds between the request and the answer. */
  readonly latency: number;
  readonly behaviour: Behaviour;
  readonly links: Link[];
}

export interface SitePlan {
  readonly hostCount: number;
  readonly entries: ReadonlyMap<string, Entry>;
  /** Seconds it takes to load every page once, one after another; pages that never end left out. */
  readonly totalLatency: number;
}

export const defaultSeed = 20_251;

const hostCount = 3;
const healthyPages = 262;
const topics = 10;
const specials: readonly (readonly [count: number, behaviour: Behaviour])[] = [
  [8, { kind: "flaky" }],
  [4, { kind: "broken" }],
  [5, { kind: "missing" }],
  [3, { kind: "hanging" }],
  [2, { kind: "dripping" }],
  [1, { kind: "dropped" }],
  [1, { kind: "huge" }],
  [4, { kind: "image" }],
  [6, { kind: "private" }],
  [1, { kind: "endless" }],
];
const redirectStatuses: readonly number[] = [301, 302, 303, 307, 308, 301];
const circleSizes: readonly number[] = [2, 3];
const words =
  "alder amber aspen birch briar cedar clover fern hazel heather ivy juniper larch laurel lilac linden maple moss oak olive pine poplar reed rowan sage sorrel thyme willow yarrow yew".split(
    " ",
  );

export function planSite(seed: number = defaultSeed): SitePlan {
  const draw = new Draw(seed);
  const entries = new Map<string, Entry>();

  function add(host: number, path: string, behaviour: Behaviour): Entry {
    const entry: Entry = {
      host,
      path,
      latency: draw.integer(20, 400) / 1000,
      behaviour,
      links: [],
    };
    entries.set(keyOf(entry), entry);
    return entry;
  }
  function link(from: Entry, to: Entry): void {
    const spelling = draw.pick([
      "plain",
      "plain",
      "absolute",
      "dotted",
      "fragment",
      "shouting",
    ] as const);
    from.links.push({ target: keyOf(to), spelling });
  }

  // The tree of healthy pages: the home page, ten topics spread over the hosts, then pages that
  // hang under a page drawn from the first third (so that the tree is a few levels deep).
  const healthy = [add(0, "/", { kind: "page" })];
  while (healthy.length < healthyPages) {
    const number = healthy.length;
    const isTopic = number <= topics;
    const parent = isTopic
      ? itemAt(healthy, 0)
      : itemAt(healthy, draw.integer(1, Math.ceil(number / 3)));
    const host = isTopic ? number % hostCount : parent.host;
    const folder = parent.path === "/" ? "" : parent.path;
    const page = add(host, `${folder}/${draw.pick(words)}-${number}`, { kind: "page" });
    link(parent, page);
    healthy.push(page);
  }

  // Those that misbehave hang high in the tree: a hanging page that is found last would make the
  // crawl wait for it alone.
  const highUp = healthy.slice(0, 15);
  for (const [count, behaviour] of specials) {
    for (let number = 1; number <= count; number++) {
      const section = behaviour.kind === "private" ? "/private" : `/${behaviour.kind}`;
      const entry = add(draw.integer(0, hostCount - 1), `${section}/${number}`, behaviour);
      link(draw.pick(highUp), entry);
      link(draw.pick(healthy), entry);
    }
  }
  for (const [index, status] of redirectStatuses.entries()) {
    const target = keyOf(draw.pick(healthy));
    link(
      draw.pick(highUp),
      add(index % hostCount, `/moved/${index + 1}`, { kind: "redirect", status, target }),
    );
  }
  for (const [index, size] of circleSizes.entries()) {
    const paths = Array.from({ length: size }, (_, step) => `/circle-${index + 1}/${step + 1}`);
    const circle = paths.map((path, step) => {
      const target = `${index} ${itemAt(paths, (step + 1) % size)}`;
      return add(index, path, { kind: "redirect", status: 302, target });
    });
    link(draw.pick(highUp), itemAt(circle, 0));
    link(draw.pick(healthy), itemAt(circle, 1));
  }

  // Cross-links: most links of a real site lead to a page that is known already.
  for (const page of healthy) {
    for (let count = draw.integer(2, 6); count > 0; count--) link(page, draw.pick(healthy));
  }
  return { hostCount, entries, totalLatency: sumOfLatencies(entries.values()) };
}

export function keyOf(entry: { readonly host: number; readonly path: string }): string {
  return `${entry.host} ${entry.path}`;
}

function sumOfLatencies(entries: Iterable<Entry>): number {
  let total = 0;
  for (const { behaviour, latency } of entries) {
    if (behaviour.kind !== "hanging" && behaviour.kind !== "dripping") total += latency;
  }
  return total;
}

/** Draws that repeat: the generator "mulberry32", 32 bits of state. */
class Draw {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  integer(lowest: number, highest: number): number {
    return lowest + Math.floor(this.#next() * (highest - lowest + 1));
  }

  pick<T>(items: readonly T[]): T {
    return itemAt(items, this.integer(0, items.length - 1));
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }
}

function itemAt<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined)
    throw new RangeError(`the plan has no item ${index} in a list of ${items.length}`);
  return item;
}
