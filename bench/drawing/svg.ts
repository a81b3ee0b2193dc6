// A small writer of SVG: text, lines, bars, on a card with a background of its own. The card is
// light, or dark where the reader's system is: so the text can be read on any page, whatever colour
// that has.

export interface Card {
  readonly width: number;
  readonly height: number;
  /** What is read to those who do not see the picture. */
  readonly description: string;
}

/** The classes that shapes and texts can have. */
export type Style =
  | "title"
  | "text"
  | "small"
  | "faint"
  | "strong"
  | "ours"
  | "native"
  | "other"
  | "guest";

const style = `
  .card { fill: #ffffff; stroke: #d0d7de }
  text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .strong { font-weight: 600 }
  .small { font-size: 11px }
  .faint { font-size: 11px; fill: #59636e }
  .grid { stroke: #d8dee4; stroke-width: 1 }
  .base { stroke: #59636e; stroke-width: 1 }
  rect.ours { fill: #0969da } rect.native { fill: #59636e } rect.other { fill: #b6bec8 } rect.guest { fill: #dcc48e }
  circle.ours { fill: #0969da } circle.native { fill: #8c959f }
  polyline { fill: none; stroke-width: 2 } polyline.ours { stroke: #0969da } polyline.native { stroke: #8c959f }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .faint { fill: #9198a1 }
    .grid { stroke: #2a313c } .base { stroke: #9198a1 }
    rect.ours, circle.ours { fill: #4493f8 } rect.native { fill: #9198a1 } rect.other { fill: #656f7d } rect.guest { fill: #9c8344 }
    circle.native { fill: #9198a1 }
    polyline.ours { stroke: #4493f8 } polyline.native { stroke: #9198a1 }
  }`;

export function drawCard(card: Card, shapes: readonly string[]): string {
  const { width, height, description } = card;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escapeText(description)}</title>
<style>${style}
</style>
<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>
${shapes.join("\n")}
</svg>
`;
}

export type Anchor = "start" | "middle" | "end";

export function text(
  x: number,
  y: number,
  content: string,
  styleName: Style = "text",
  anchor: Anchor = "start",
): string {
  const anchored = anchor === "start" ? "" : ` text-anchor="${anchor}"`;
  return `<text class="${styleName}" x="${round(x)}" y="${round(y)}"${anchored}>${escapeText(content)}</text>`;
}

export function bar(x: number, y: number, width: number, height: number, styleName: Style): string {
  return `<rect class="${styleName}" x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}" rx="1.5"/>`;
}

export function line(
  from: readonly [number, number],
  to: readonly [number, number],
  kind: "grid" | "base",
): string {
  const [[x1, y1], [x2, y2]] = [from.map(round), to.map(round)] as [number[], number[]];
  return `<line class="${kind}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
}

/** A line through points, each with a dot. */
export function curve(points: readonly (readonly [number, number])[], styleName: Style): string {
  const path = points.map((point) => point.map(round).join(",")).join(" ");
  const dots = points.map(([x, y]) => {
    return `<circle class="${styleName}" cx="${round(x)}" cy="${round(y)}" r="3"/>`;
  });
  return `<polyline class="${styleName}" points="${path}"/>${dots.join("")}`;
}

const sizes: Partial<Readonly<Record<Style, number>>> = { title: 15, small: 11, faint: 11 };

/**
 * How wide a text is, at most: in DejaVu Sans, which is the widest of the fonts that are asked for,
 * to some hundredths.
 */
export function widthOf(content: string, styleName: Style = "text"): number {
  const isBold = styleName === "title" || styleName === "strong";
  let ems = 0;
  for (const character of content) ems += emsOf(character) * (isBold ? 1.13 : 1);
  return ems * (sizes[styleName] ?? 12);
}

function emsOf(character: string): number {
  if (/[ijlI.,:;|'!]/.test(character)) return 0.34;
  if (/[ frt()[\]\-/"]/.test(character)) return 0.42;
  if (/[mwMW@%×]/.test(character)) return 0.98;
  if (/[A-Z=+<>]/.test(character)) return 0.84;
  return 0.64;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeText(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Under the title: what the colours of bars mean, beside each other from `x` on. */
export function legend(x: number, entries: readonly (readonly [Style, string])[]): string[] {
  const shapes: string[] = [];
  let at = x;
  for (const [style, label] of entries) {
    shapes.push(bar(at, 48, 10, 10, style), text(at + 15, 57, label, "small"));
    at += 32 + widthOf(label, "small");
  }
  return shapes;
}
