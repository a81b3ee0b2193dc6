/** Our own request for one in the words of another service. */

import { PageError } from "../contract/errors.ts";
import { isTable } from "../fetch/check.ts";
import { add, bad, type Dialect, type Draft, merged, unsupported } from "./dialects.ts";

export interface Translated {
  readonly request: Record<string, unknown>;
  readonly answer: Draft["answer"];
}

/**
 * Our own request for one of `dialect`. `own` are parameters of ours that may stand beside.
 * @throws PageError `unsupported_parameter` with what takes its place, `unknown_parameter`.
 */
export function translate(
  dialect: Dialect,
  parameters: Iterable<readonly [name: string, value: string]>,
  headers: ReadonlyMap<string, string>,
  options: {
    readonly rendersNever: boolean;
    readonly own?: (name: string, value: string) => unknown;
  },
): Translated {
  const draft: Draft = { request: {}, headers, answer: { ...dialect.answer } };
  const seen = new Set<string>();
  for (const [name, value] of parameters) {
    if (dialect.keys.includes(name)) continue;
    if (seen.has(name)) throw bad(`\`${name}\` is given twice`, name);
    seen.add(name);
    const before = { ...draft.request };
    const parameter = Object.hasOwn(dialect.parameters, name)
      ? dialect.parameters[name]
      : undefined;
    if (parameter === undefined) {
      const own = options.own?.(name, value);
      if (own === undefined) {
        const parameter = name.slice(0, 64);
        const where = options.own === undefined ? `${dialect.name} has` : "there is"; // or our own call
        const text = `${where} no parameter \`${parameter}\``;
        throw new PageError("unknown_parameter", text, { parameter });
      }
      if (name !== "headers") draft.request[name] = own;
      else if (isTable(own)) add(draft, own as Record<string, unknown>);
      else throw bad("`headers`: expected an object of names and values", name);
    } else if ("refused" in parameter) {
      if (!isNothing(value)) throw unsupported(parameter.refused, name);
    } else {
      try {
        parameter.apply(value, draft);
      } catch (error) {
        if (!(error instanceof PageError)) throw error;
        throw unsupported(error.message, name);
      }
    }
    checkAgreement(before, draft.request, name);
  }
  const { request, forwarded } = draft;
  if (forwarded !== undefined)
    request.headers = merged(forwarded, (request.headers ?? {}) as object);
  if (dialect.rendersByDefault && draft.request.render === undefined && !options.rendersNever) {
    throw unsupported(
      `${dialect.name} renders pages unless you say render_js=false; the operator may allow what is not rendered, by render=never`,
      "render_js",
    );
  }
  return { request, answer: draft.answer };
}

/** Programs that send all their fields ask for nothing by these. An empty text may be a slip. */
function isNothing(value: string): boolean {
  return /^(?:null|\[\s*\]|\{\s*\})$/.test(value.trim());
}

/** Throws where `name` has overwritten what a parameter before it says. Headers add up. */
function checkAgreement(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  name: string,
): void {
  const lost = Object.keys(before).find((key) => key !== "headers" && before[key] !== after[key]);
  if (lost === undefined) return;
  throw bad(`\`${name}\` and a parameter before it say two things of \`${lost}\``, name);
}
