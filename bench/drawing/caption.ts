// The line under each chart: where and when it was measured.

import type { Report } from "../main.ts";

export function captionOf({ date, machine, effort }: Report): string {
  const { node, processor, cores, revision } = machine;
  const at = revision === undefined ? "" : `, revision ${revision}`;
  const smoke = effort.quick ? "A SMOKE RUN, THE FIGURES MEAN NOTHING. " : "";
  return `${smoke}${date.slice(0, 10)}, ${processor}, ${cores} cores, Node ${node}${at}`;
}
