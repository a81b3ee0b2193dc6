/** The classifier as the pipeline asks for it. */

import { headerOf } from "../contract/headers.ts";
import type { Answer, Classifier, Verdict } from "../contract/parts.ts";
import { builtInRules, classify } from "./classify.ts";
import type { RuleSet } from "./rules.ts";

const utf8 = new TextDecoder();
/** What stands in place of a page shows within this. */
const WANTED = 64 * 1024;

export interface ReplaceableClassifier extends Classifier {
  /** Judges by these from now on. Answers that are being judged keep the rules they began with. */
  use(rules: RuleSet): void;
}

/** Judges by `rules`. @default the rules that come with pagefetch */
export function createClassifier(rules: RuleSet = builtInRules): ReplaceableClassifier {
  let current = rules;
  return {
    use(next) {
      current = next;
    },
    wants({ headers }: Answer): number {
      const type = headerOf(headers, "content-type")?.toLowerCase() ?? "";
      return type === "" || type.includes("html") || type.startsWith("text/plain") ? WANTED : 0;
    },
    judge(answer: Answer, start: Uint8Array): Verdict {
      const found = classify(
        {
          requestedUrl: (answer.requested ?? answer.url).href,
          url: answer.url.href,
          status: answer.status,
          headers: answer.headers,
          // The words of the rules are ASCII, or UTF-8 in pages that are.
          body: utf8.decode(start),
        },
        current,
      );
      if (found === undefined) return { kind: "page", confidence: 1, evidence: [] };
      const { kind, vendor, confidence, evidence } = found;
      return { kind, vendor, confidence, evidence };
    },
  };
}
