// Programs as data: drawn from a seed, written down, and made smaller.

import { drawer } from "../hopping-host.ts";

export type Draw = (count: number) => number;

/** What can stand in a program, with how often it does and how many bodies it has. */
const kinds = {
  sleep: { weight: 6, bodies: 0 },
  lock: { weight: 6, bodies: 1 },
  semaphore: { weight: 5, bodies: 1 },
  put: { weight: 5, bodies: 0 },
  get: { weight: 6, bodies: 0 },
  putNowait: { weight: 2, bodies: 0 },
  getNowait: { weight: 1, bodies: 0 },
  join: { weight: 1, bodies: 0 },
  shutdown: { weight: 0.2, bodies: 0 },
  produce: { weight: 3, bodies: 0 },
  consume: { weight: 3, bodies: 0 },
  waitForEvent: { weight: 2, bodies: 0 },
  setEvent: { weight: 2, bodies: 0 },
  clearEvent: { weight: 1, bodies: 0 },
  barrier: { weight: 2, bodies: 0 },
  resetBarrier: { weight: 0.3, bodies: 0 },
  cancel: { weight: 5, bodies: 0 },
  fail: { weight: 0.7, bodies: 0 },
  waitForActors: { weight: 1, bodies: 0 },
  shieldActor: { weight: 0.7, bodies: 0 },
  timeout: { weight: 4, bodies: 1 },
  moveOn: { weight: 3, bodies: 1 },
  waitFor: { weight: 2, bodies: 1 },
  scope: { weight: 2, bodies: 1 },
  cleanUp: { weight: 1, bodies: 2 },
  shield: { weight: 1, bodies: 1 },
  careless: { weight: 1.5, bodies: 1 },
  recover: { weight: 1.5, bodies: 1 },
  floating: { weight: 0.7, bodies: 1 },
  group: { weight: 4, bodies: 3 },
  gather: { weight: 2, bodies: 2 },
  race: { weight: 3, bodies: 3 },
  staggeredRace: { weight: 2, bodies: 3 },
  asCompleted: { weight: 1.5, bodies: 3 },
  promiseAll: { weight: 1.5, bodies: 2 },
  promiseRace: { weight: 1.5, bodies: 2 },
  select: { weight: 3, bodies: 1 },
  cancelAndWait: { weight: 1, bodies: 0 },
} as const;

/** The same for what stands in `asyncio-ts/patterns`. */
const patternKinds = {
  job: { weight: 3, bodies: 1 },
  queueControl: { weight: 1, bodies: 0 },
  limiter: { weight: 2, bodies: 1 },
  limit: { weight: 0.5, bodies: 0 },
  take: { weight: 2, bodies: 0 },
  send: { weight: 2, bodies: 0 },
  receive: { weight: 2, bodies: 0 },
  borrow: { weight: 4, bodies: 1 },
  share: { weight: 2, bodies: 1 },
  fly: { weight: 2, bodies: 0 },
  change: { weight: 1, bodies: 0 },
  untilChanged: { weight: 1, bodies: 0 },
  publish: { weight: 1.5, bodies: 0 },
  subscribe: { weight: 1.5, bodies: 1 },
  retry: { weight: 1, bodies: 1 },
  hedge: { weight: 1, bodies: 1 },
  mapAll: { weight: 1, bodies: 3 },
  mapConcurrent: { weight: 1, bodies: 3 },
} as const;

const allKinds = { ...kinds, ...patternKinds };

export type PatternKind = keyof typeof patternKinds;
export type Kind = keyof typeof allKinds;
export type Body = readonly Step[];

export interface Step {
  readonly do: Kind;
  /** Which lock, queue, actor; and in which form. */
  readonly which: number;
  readonly delay: number;
  readonly bodies: readonly Body[];
}

export interface Program {
  readonly seed: number;
  readonly cancelGrace: number;
  readonly actors: readonly Body[];
}

const MAX_DEPTH = 3;

export function makeProgram(seed: number): Program {
  const draw = drawer(seed);
  for (let warmUp = 0; warmUp < 3; warmUp++) draw(2);
  const cancelGrace = pick([5, 5, 1, 0, 30], draw(5));
  const maker = new Maker(draw);
  const actors = Array.from({ length: 2 + draw(6) }, () => maker.body(0, 1 + draw(7)));
  return { seed, cancelGrace, actors };
}

/**
 * Draws steps. Each program has favourite kinds, and some that it never uses: so it does much with
 * little.
 */
class Maker {
  readonly #draw: Draw;
  readonly #weights: ReadonlyMap<Kind, number>;
  /** From how many locks, queues and actors it chooses. */
  readonly #spread: number;

  constructor(draw: Draw) {
    this.#draw = draw;
    this.#spread = 1 + draw(12);
    const entries = Object.entries(allKinds) as [Kind, { weight: number }][];
    this.#weights = new Map(
      entries.map(([kind, { weight }]) => [kind, weight * pick([0, 0.3, 1, 6], draw(4))]),
    );
  }

  body(depth: number, length: number): Body {
    return Array.from({ length }, () => this.#step(depth));
  }

  #step(depth: number): Step {
    const kind = this.#kind(depth);
    return {
      do: kind,
      which: this.#draw(this.#spread),
      delay: this.#draw(8) / 10,
      bodies: Array.from({ length: allKinds[kind].bodies }, () =>
        this.body(depth + 1, this.#draw(4)),
      ),
    };
  }

  #kind(depth: number): Kind {
    const possible = [...this.#weights].filter(
      ([kind]) => depth < MAX_DEPTH || allKinds[kind].bodies === 0,
    );
    const total = possible.reduce((sum, [, weight]) => sum + weight, 0);
    let rest = (this.#draw(1_000_000) / 1_000_000) * total;
    for (const [kind, weight] of possible) {
      rest -= weight;
      if (rest < 0) return kind;
    }
    return "sleep";
  }
}

export function formatProgram({ seed, cancelGrace, actors }: Program): string {
  const lines = actors.map((body, index) => `  actor ${index}: ${formatBody(body)}`);
  return [`program ${seed}, cancelGrace ${cancelGrace}`, ...lines].join("\n");
}

function formatBody(body: Body): string {
  const steps = body.map(({ do: kind, which, delay, bodies }) => {
    const nested = bodies.map(formatBody).join(" | ");
    return `${kind}#${which}~${delay}${bodies.length === 0 ? "" : `(${nested})`}`;
  });
  return steps.join(", ");
}

/** Programs with one step less, or with one smaller step. */
export function* smallerPrograms(program: Program): Generator<Program> {
  for (const actors of smallerLists(program.actors, smallerBodies)) yield { ...program, actors };
}

function smallerBodies(body: Body): Iterable<Body> {
  return smallerLists(body, smallerSteps);
}

function* smallerSteps(step: Step): Generator<Step> {
  for (const body of step.bodies) if (body.length === 1) yield* body;
  for (const bodies of smallerLists(step.bodies, smallerBodies, false)) yield { ...step, bodies };
}

/** Lists with one item less, or with one smaller item. */
function* smallerLists<T>(
  list: readonly T[],
  smallerItems: (item: T) => Iterable<T>,
  mayDrop = true,
): Generator<readonly T[]> {
  if (mayDrop) for (const index of list.keys()) yield list.toSpliced(index, 1);
  for (const [index, item] of list.entries())
    for (const smaller of smallerItems(item)) yield list.with(index, smaller);
}

export function pick<T>(items: readonly T[], which: number): T {
  return items[which % items.length] as T; // there are items
}
