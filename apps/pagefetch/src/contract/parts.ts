/**
 * What the pipeline (fetch/) asks of the other rooms. It knows these shapes and no room; what is
 * left out of a `Fetcher` is answered by the plainest thing that works. Whatever waits here is
 * cancelled with the request that asks. A lease (a `Turn`, a `Route`) is ended exactly once, in a
 * `finally`, also when the request was cancelled.
 */

import type { ErrorCode } from "./errors.ts";
import type { HeaderList } from "./headers.ts";
import type { IdentityName } from "./options.ts";
import type { RobotsReceipt } from "./result.ts";

/** How a lease ended. */
export interface Outcome {
  /** Undefined if there was no answer. */
  readonly status?: number | undefined;
  /** Seconds that the target asks to wait. */
  readonly retryAfter?: number | undefined;
  /** Seconds to the head of the answer. */
  readonly latency?: number | undefined;
  /** Undefined if all was well. `proxy_failed` is the proxy's fault, everything else is not. */
  readonly failure?: ErrorCode | undefined;
  /** True if the request was cancelled: nobody's fault. */
  readonly cancelled?: boolean | undefined;
}

/** Who may ask a host, and when. */
export interface Politeness {
  /**
   * Waits until a request to `url` may begin, and takes one of the places that there are for its
   * registrable domain and for each of the `addresses` behind it.
   */
  enter(ask: {
    readonly url: URL;
    readonly addresses: readonly string[];
    /** Seconds between two requests that robots.txt asks for. */
    readonly crawlDelay: number | undefined;
  }): Promise<Turn>;
}

export interface Turn {
  /** Seconds that `enter` took. */
  readonly waited: number;
  /** Gives the place back, and tells how it went. */
  end(outcome: Outcome): void;
}

/** An upstream proxy, as dialling needs it. The password is in here, and nowhere else. */
export interface UpstreamProxy {
  readonly protocol: "http" | "https" | "socks5";
  readonly host: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /**
   * `local`: the proxy is told the address that was checked here. `remote`: it is told the name,
   * and resolves it again, as its country sees it; the name is checked here all the same.
   * @default "local"
   */
  readonly resolve?: "local" | "remote" | undefined;
  /** The address of this machine to connect from. */
  readonly localAddress?: string | undefined;
}

/** Which way a request goes. */
export interface Proxies {
  /**
   * Refuses what no route could do, before anything is asked of anybody. Where it is left out, such
   * a request fails when it comes to its route.
   * @throws PageError `bad_request`.
   */
  check?(ask: Wish): void;
  /** @throws PageError `policy_denied`, `proxy_failed` (none is healthy), `bad_request`. */
  route(
    ask: Wish & {
      readonly url: URL;
      /** Ids of routes that have failed for this request. */
      readonly avoid: readonly string[];
    },
  ): Promise<Route>;
}

/** The way that a caller asks for. */
export interface Wish {
  readonly proxy: string;
  readonly country: string | undefined;
  /** The session, which may be bound to a proxy. */
  readonly session: Session;
}

export interface Route {
  /** Of the proxy; "direct" without one. It may be shown to anybody. */
  readonly id: string;
  readonly proxy: UpstreamProxy | undefined;
  end(outcome: Outcome): void;
}

/** Cookies, route and identity that belong together. */
export interface Session {
  /** Undefined for the one that is made for a single call. */
  readonly name: string | undefined;
  /** The id of the route that it is bound to. `Proxies` sets it. */
  routeId: string | undefined;
  /** The value of the `Cookie` header for a request to `url`; undefined for none. */
  cookiesFor(url: URL): string | undefined;
  /** Keeps what `Set-Cookie` headers say. What makes no sense is dropped. */
  setCookies(url: URL, values: readonly string[]): void;
}

export interface Sessions {
  /** The one of that name, made at the first use; undefined: a new one, for one call. */
  open(name: string | undefined): Promise<Session> | Session;
}

/** Who we say we are. */
export interface Identities {
  /**
   * `given` are the headers of the caller. Those of a hop are these, or fewer.
   * @throws PageError `unsupported_parameter` for `browser`, `bad_request` for a header that this
   * identity does not send.
   */
  get(name: IdentityName, session: Session, given: HeaderList): Identity;
}

export interface Identity {
  /** For the receipt: "bot pagefetch/0.1". */
  readonly label: string;
  /** The product token that robots.txt is asked about. */
  readonly robotsToken: string;
  /**
   * All headers of a request but `host`, `cookie` and those of the body's framing, in order.
   * `given` are the caller's. May sign.
   */
  headersFor(request: {
    readonly url: URL;
    readonly method: string;
    readonly given: HeaderList;
  }): Promise<HeaderList> | HeaderList;
}

/** What an answer looks like to who judges it. */
export interface Answer {
  readonly url: URL;
  /** What the caller asked for, where redirects have led elsewhere. A login page tells itself so. */
  readonly requested?: URL | undefined;
  readonly status: number;
  readonly headers: HeaderList;
}

export interface Verdict {
  readonly kind:
    | "page"
    | "captcha"
    | "challenge"
    | "block"
    | "rate_limit"
    | "login_wall"
    | "soft_404"
    | "empty_shell";
  readonly vendor?: string | undefined;
  /** 0 to 1. */
  readonly confidence: number;
  readonly evidence: readonly string[];
}

/** Tells pages from what stands in their place. */
export interface Classifier {
  /** How many bytes of the body it wants to see; 0 if the head says enough. */
  wants(answer: Answer): number;
  /** `start` is decompressed, and shorter than wanted only where the body is. Not a wait. */
  judge(answer: Answer, start: Uint8Array): Verdict;
}

/**
 * The operator's own way through a CAPTCHA: a person, a service, an agreement with the site. There
 * is none in here. It runs in the request's scope, so it ends when the caller goes or the deadline
 * comes.
 */
export interface Solver {
  /** Whether it may be asked for this host at all. The operator lists the hosts. */
  readonly hosts: ReadonlySet<string>;
  /**
   * Gives the cookies with which the page can be asked for again, once, in the same session and by
   * the same route; undefined where it gives up.
   */
  solve(challenge: {
    readonly url: URL;
    readonly verdict: Verdict;
    readonly session: Session;
    readonly route: string;
  }): Promise<{ readonly setCookies: readonly string[] } | undefined>;
}

/** What robots.txt says of a URL. */
export interface Robots {
  check(url: URL, token: string): Promise<RobotsAnswer>;
}

export interface RobotsAnswer {
  readonly receipt: RobotsReceipt;
  readonly crawlDelay: number | undefined;
  /** Bytes that were spent on asking: 0 where it was known. */
  readonly sent: number;
  readonly received: number;
}

/**
 * How `robots/` gets a file: by a GET through the same egress and the same politeness, which follows
 * five redirects and judges nothing. It has a deadline of its own.
 * @throws PageError if there was no answer.
 */
export type RobotsFetch = (url: URL) => Promise<RobotsResponse>;

export interface RobotsResponse {
  readonly status: number;
  readonly headers: HeaderList;
  /** Decompressed. What comes behind the first 512,001 bytes is not read. */
  readonly bytes: Uint8Array;
  readonly sent: number;
  readonly received: number;
}
