/**
 * What the rules look at, taken from one answer. A page is read once, by htmlparser2, and every
 * list has a bound: a page of any size and shape costs time in proportion to what is kept of it.
 *
 * Where a word stands decides what it means. `captcha-delivery.com` in the address of a script is
 * a captcha; in a paragraph it is an article about captchas. So the features keep places apart.
 */

import { Parser } from "htmlparser2";

/** An answer of a target, as far as the classifier looks at it. */
export interface Answer {
  /** The address that was asked for. */
  readonly requestedUrl: string;
  /** The address that answered, after redirects. */
  readonly url: string;
  readonly status: number;
  /** Names in any case. A name may come several times, as `set-cookie` does. */
  readonly headers: Iterable<readonly [name: string, value: string]>;
  /** The decoded body. Only its first 512 Ki characters are read. */
  readonly body: string;
  /** What a browser shows of the page, where one rendered it; otherwise it is read from `body`. */
  readonly visibleText?: string;
}

/** Everything in lower case, so that rules compare without looking at the case. */
export interface Features {
  readonly status: number;
  readonly requestedUrl: string;
  readonly url: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly cookies: readonly string[];
  readonly isHtml: boolean;
  readonly page: PageFeatures;
}

/**
 * Of what was read of the page. It ends where a reader has seen `ENOUGH` characters, or where
 * elements nest too deep for a page.
 */
export interface PageFeatures {
  readonly title: string;
  /** What a reader sees. */
  readonly text: string;
  /** How many characters a reader sees: at least `ENOUGH` if the page is longer. */
  readonly textLength: number;
  /** Addresses and bodies of scripts, one after the other. */
  readonly scripts: string;
  readonly scriptCount: number;
  /** Addresses of frames, forms, refreshes and images. */
  readonly addresses: string;
  /** Values of `id`, `class` and `name`. */
  readonly marks: string;
  readonly linkCount: number;
  readonly hasPasswordField: boolean;
}

/**
 * What comes in place of a page has little to read. So nothing is looked at behind so many visible
 * characters, and an ordinary page costs no more than its beginning.
 */
export const ENOUGH = 4 * 1024;
const MAX_PAGE = 512 * 1024;
/** Browsers nest no deeper, and the parser's time grows with the square of the depth. */
const MAX_DEPTH = 512;
const MAX_SCRIPTS = 64 * 1024;
const MAX_ADDRESSES = 16 * 1024;
const MAX_MARKS = 32 * 1024;

const unseen = new Set(["script", "style", "template", "noscript", "head", "svg"]);
const addressAttributes: Readonly<Record<string, string>> = {
  iframe: "src",
  frame: "src",
  form: "action",
  img: "src",
};

/** Reads `answer`. Throws nothing: what cannot be read as HTML has the features of an empty page. */
export function featuresOf(answer: Answer): Features {
  const headers = new Map<string, string>();
  const cookies: string[] = [];
  for (const [name, value] of answer.headers) {
    const key = name.toLowerCase();
    const low = value.slice(0, 1024).toLowerCase();
    if (key === "set-cookie") cookies.push(low.slice(0, low.search(/[=;]|$/)).trim());
    else headers.set(key, low);
  }
  const contentType = headers.get("content-type") ?? "";
  const isHtml = contentType === "" ? looksLikeHtml(answer.body) : contentType.includes("html");
  const visible = answer.visibleText;
  return {
    status: answer.status,
    requestedUrl: answer.requestedUrl.toLowerCase(),
    url: answer.url.toLowerCase(),
    headers,
    cookies,
    isHtml,
    page: isHtml ? readPage(answer.body, visible) : readPlain(visible ?? answer.body),
  };
}

function looksLikeHtml(body: string): boolean {
  return body.slice(0, 512).trimStart().startsWith("<");
}

/** A body that is no HTML, such as `error code: 1020`: its beginning counts as text. */
function readPlain(body: string): PageFeatures {
  return {
    title: "",
    text: squeeze(body.slice(0, ENOUGH)),
    textLength: body.length,
    scripts: "",
    scriptCount: 0,
    addresses: "",
    marks: "",
    linkCount: 0,
    hasPasswordField: false,
  };
}

function readPage(body: string, visible: string | undefined): PageFeatures {
  const reading = new Reading(visible);
  const parser = new Parser(reading);
  reading.stop = () => parser.pause(); // it is not resumed
  parser.write(body.slice(0, MAX_PAGE));
  if (!reading.isEnough) parser.end();
  return reading;
}

/** Takes the features out of a page while it is parsed. */
class Reading implements PageFeatures {
  readonly #title = new Gathered(1024);
  readonly #text = new Gathered(ENOUGH);
  readonly #scripts = new Gathered(MAX_SCRIPTS);
  readonly #addresses = new Gathered(MAX_ADDRESSES);
  readonly #marks = new Gathered(MAX_MARKS);
  readonly #visible: string | undefined;
  #read = 0;
  #isTitle = false;
  #isScript = false;
  /** How many elements that are not seen are open. */
  #hidden = 0;
  #depth = 0;
  scriptCount = 0;
  linkCount = 0;
  hasPasswordField = false;
  /** Called when it is enough. */
  stop: () => void = () => {};

  /** `visible`: what a reader sees, where that is known already. */
  constructor(visible: string | undefined) {
    this.#visible = visible;
  }

  get isEnough(): boolean {
    return this.#read >= ENOUGH || this.#depth >= MAX_DEPTH;
  }

  get title(): string {
    return this.#title.words;
  }

  get text(): string {
    return this.#visible === undefined ? this.#text.words : squeeze(this.#visible.slice(0, ENOUGH));
  }

  get textLength(): number {
    return this.#visible?.length ?? this.#read;
  }

  get scripts(): string {
    return this.#scripts.words;
  }

  get addresses(): string {
    return this.#addresses.words;
  }

  get marks(): string {
    return this.#marks.words;
  }

  onopentag(name: string, attributes: Readonly<Record<string, string>>): void {
    this.#depth++;
    if (this.isEnough) this.stop();
    if (unseen.has(name)) this.#hidden++;
    if (name === "title") this.#isTitle = true;
    else if (name === "a") this.linkCount++;
    else if (name === "script") {
      this.#isScript = true;
      this.scriptCount++;
      this.#scripts.add(attributes.src);
    } else if (name === "meta" && attributes["http-equiv"]?.toLowerCase() === "refresh") {
      this.#addresses.add(attributes.content);
    } else if (name === "input" && attributes.type?.toLowerCase() === "password") {
      this.hasPasswordField = true;
    }
    const holder = addressAttributes[name];
    if (holder !== undefined) this.#addresses.add(attributes[holder]);
    this.#marks.add(attributes.id);
    this.#marks.add(attributes.class);
    this.#marks.add(attributes.name);
  }

  ontext(piece: string): void {
    if (this.#isScript) this.#scripts.add(piece);
    else if (this.#isTitle) this.#title.add(piece);
    else if (this.#hidden === 0) {
      const seen = piece.trim();
      this.#read += seen.length;
      this.#text.add(seen);
      if (this.isEnough) this.stop();
    }
  }

  onclosetag(name: string): void {
    this.#depth--;
    if (name === "script") this.#isScript = false;
    else if (name === "title") this.#isTitle = false;
    if (unseen.has(name) && this.#hidden > 0) this.#hidden--;
  }
}

/** Gathers pieces up to a number of characters and lets go of the rest. */
class Gathered {
  readonly #pieces: string[] = [];
  #room: number;
  #words: string | undefined = undefined;

  constructor(room: number) {
    this.#room = room;
  }

  add(piece: string | undefined): void {
    if (piece === undefined || piece === "" || this.#room <= 0) return;
    const kept = piece.length > this.#room ? piece.slice(0, this.#room) : piece;
    this.#room -= kept.length;
    this.#pieces.push(kept);
  }

  /** All of it, when nothing is added any more. */
  get words(): string {
    this.#words ??= squeeze(this.#pieces.join(" "));
    return this.#words;
  }
}

/** In lower case, with one space for each run of white space. */
function squeeze(text: string): string {
  // A single space is no match, as it is what most of a text has.
  return text
    .replace(/\s{2,}|[^\S ]/g, " ")
    .trim()
    .toLowerCase();
}
