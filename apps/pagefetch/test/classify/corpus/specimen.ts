/**
 * Pages of our own making, in the shape of what vendors send, and ordinary pages that look alike.
 * Each has the verdict that is right. No code of a vendor is in them.
 */

import type { Answer } from "../../../src/classify/features.ts";
import type { VerdictKind } from "../../../src/classify/rules.ts";

export interface Specimen {
  readonly name: string;
  readonly kind: VerdictKind | "page";
  readonly vendor?: string;
  readonly answer: Answer;
}

/** Those that the files beside this one have added. */
export const specimens: Specimen[] = [];

interface Shape {
  readonly status?: number;
  readonly headers?: readonly (readonly [string, string])[];
  readonly asked?: string;
  readonly url?: string;
  readonly body?: string;
}

export function add(kind: Specimen["kind"], name: string, shape: Shape, vendor?: string): void {
  const asked = shape.asked ?? "https://shop.example/item/7";
  specimens.push({
    name,
    kind,
    ...(vendor === undefined ? {} : { vendor }),
    answer: {
      requestedUrl: asked,
      url: shape.url ?? asked,
      status: shape.status ?? 200,
      headers: shape.headers ?? [["content-type", "text/html; charset=utf-8"]],
      body: shape.body ?? "",
    },
  });
}

export function html(title: string, body: string, head = ""): string {
  return `<!doctype html><html lang="en"><head><title>${title}</title>${head}</head><body>${body}</body></html>`;
}

const paragraph =
  "<p>The lighthouse stands on the northern cliff and has been kept by the same family for four " +
  "generations. Visitors climb two hundred and eleven steps, and on clear days they see the " +
  "coast of the neighbouring island. Tickets are sold at the gate from nine in the morning.</p>";
export const article = `<nav>${'<a href="/x">Section</a>'.repeat(20)}</nav><main>${paragraph.repeat(12)}</main>`;
export const type: readonly [string, string] = ["content-type", "text/html"];
