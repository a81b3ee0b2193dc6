/**
 * Which charset a page is in, in the order of the HTML standard: byte order mark, header, a `meta`
 * in the first 1024 bytes, windows-1252. A label that nobody knows is passed over.
 */

import sniff from "html-encoding-sniffer";
import { type HeaderList, headerOf } from "../contract/headers.ts";
import type { Charset } from "../contract/result.ts";

/** What the standard takes a page for, if nothing says otherwise. */
const DEFAULT = "windows-1252";
/** JSON has no other charset (RFC 8259, 8.1), and scripts and styles are in it where none is said. */
const isUtf8 = /^(?:application|text)\/(?:[\w.-]+\+)?(?:json|javascript|css)\b/i;

/** The charset of the page that begins with `start`, which has 1024 bytes if the page has. */
export function charsetOf(headers: HeaderList, start: Uint8Array): Charset {
  const type = headerOf(headers, "content-type");
  const label = type === undefined ? undefined : labelOf(type);
  if (label === undefined && type !== undefined && isUtf8.test(type))
    return { name: "UTF-8", source: "default" };
  const name = sniff(start, {
    ...(label === undefined ? {} : { transportLayerEncodingLabel: label }),
    defaultEncoding: DEFAULT,
  });
  return { name, source: sourceOf(start, label, name) };
}

/** What `content-type` says behind `charset=`, quoted or not. */
function labelOf(type: string): string | undefined {
  const found = /;[ \t]*charset[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;]*))/i.exec(type);
  return (found?.[1] ?? found?.[2])?.trim() || undefined;
}

function sourceOf(start: Uint8Array, label: string | undefined, name: string): Charset["source"] {
  const empty = new Uint8Array();
  const withoutAll = sniff(start, { defaultEncoding: "x-user-defined", maxPrescanBytes: 0 });
  if (withoutAll !== "x-user-defined") return "bom";
  if (label !== undefined) {
    const transportLayerEncodingLabel = label;
    const byLabel = sniff(empty, { transportLayerEncodingLabel, defaultEncoding: "none" });
    if (byLabel === name) return "header";
  }
  return sniff(start, { defaultEncoding: "none" }) === "none" ? "default" : "meta";
}

/** `bytes` as text. What is wrong in them becomes U+FFFD; a byte order mark is dropped. */
export function textOf(bytes: Uint8Array, charset: Charset): string {
  // "replacement" stands for charsets that are a danger, and is one U+FFFD (Encoding, 14.1).
  if (charset.name === "replacement") return bytes.length === 0 ? "" : "\ufffd";
  return decoderOf(charset.name).decode(bytes);
}

function decoderOf(name: string): { decode(bytes: Uint8Array): string } {
  try {
    return new TextDecoder(name);
  } catch {
    // "x-user-defined" is the one that hosts may lack.
    return {
      decode: (bytes) =>
        Array.from(bytes, (byte) => String.fromCharCode(byte < 128 ? byte : 0xf700 + byte)).join(
          "",
        ),
    };
  }
}
