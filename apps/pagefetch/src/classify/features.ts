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
  readonly title: string;
  /** The first 8 Ki characters of what a reader sees. */
  readonly text: string;
  /** How many characters a reader sees in all, as far as the page was read. */
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

const MAX_PAGE = 512 * 1024;
const MAX_TEXT = 8 * 1024;
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
  const page = isHtml ? readPage(answer.body) : readPlain(answer.body);
  const visible = answer.visibleText;
  return {
    status: answer.status,
    requestedUrl: answer.requestedUrl.toLowerCase(),
    url: answer.url.toLowerCase(),
    headers,
    cookies,
    isHtml,
    ...page,
    ...(visible === undefined
      ? {}
      : { text: squeeze(visible.slice(0, MAX_TEXT)), textLength: visible.length }),
  };
}

type PageFeatures = Omit<
  Features,
  "status" | "requestedUrl" | "url" | "headers" | "cookies" | "isHtml"
>;

function looksLikeHtml(body: string): boolean {
  return body.slice(0, 512).trimStart().startsWith("<");
}

/** A body that is no HTML, such as `error code: 1020`: its beginning counts as text. */
function readPlain(body: string): PageFeatures {
  return {
    title: "",
    text: squeeze(body.slice(0, MAX_TEXT)),
    textLength: body.length,
    scripts: "",
    scriptCount: 0,
    addresses: "",
    marks: "",
    linkCount: 0,
    hasPasswordField: false,
  };
}

function readPage(body: string): PageFeatures {
  const title = new Gathered(1024);
  const text = new Gathered(MAX_TEXT);
  const scripts = new Gathered(MAX_SCRIPTS);
  const addresses = new Gathered(MAX_ADDRESSES);
  const marks = new Gathered(MAX_MARKS);
  let textLength = 0;
  let scriptCount = 0;
  let linkCount = 0;
  let hasPasswordField = false;
  let isTitle = false;
  let isScript = false;
  let hidden = 0; // how many elements that are not seen are open

  const parser = new Parser({
    onopentag(name, attributes) {
      if (unseen.has(name)) hidden++;
      if (name === "title") isTitle = true;
      else if (name === "a") linkCount++;
      else if (name === "script") {
        isScript = true;
        scriptCount++;
        scripts.add(attributes.src);
      } else if (name === "meta" && attributes["http-equiv"]?.toLowerCase() === "refresh") {
        addresses.add(attributes.content);
      } else if (name === "input" && attributes.type?.toLowerCase() === "password") {
        hasPasswordField = true;
      }
      const holder = addressAttributes[name];
      if (holder !== undefined) addresses.add(attributes[holder]);
      marks.add(attributes.id);
      marks.add(attributes.class);
      marks.add(attributes.name);
    },
    ontext(piece) {
      if (isScript) scripts.add(piece);
      else if (isTitle) title.add(piece);
      else if (hidden === 0) {
        const seen = piece.trim();
        textLength += seen.length;
        text.add(seen);
      }
    },
    onclosetag(name) {
      if (name === "script") isScript = false;
      else if (name === "title") isTitle = false;
      if (unseen.has(name) && hidden > 0) hidden--;
    },
  });
  parser.write(body.slice(0, MAX_PAGE));
  parser.end();
  return {
    title: title.end(),
    text: text.end(),
    textLength,
    scripts: scripts.end(),
    scriptCount,
    addresses: addresses.end(),
    marks: marks.end(),
    linkCount,
    hasPasswordField,
  };
}

/** Gathers pieces up to a number of characters and lets go of the rest. */
class Gathered {
  readonly #pieces: string[] = [];
  #room: number;

  constructor(room: number) {
    this.#room = room;
  }

  add(piece: string | undefined): void {
    if (piece === undefined || piece === "" || this.#room <= 0) return;
    const kept = piece.length > this.#room ? piece.slice(0, this.#room) : piece;
    this.#room -= kept.length;
    this.#pieces.push(kept);
  }

  end(): string {
    return squeeze(this.#pieces.join(" "));
  }
}

/** In lower case, with one space for each run of white space. */
function squeeze(text: string): string {
  return text.replace(/\s+/g, " ").trim().toLowerCase();
}
