/**
 * Pages of our own making, in the shape of what vendors send, and ordinary pages that look alike.
 * Each has the verdict that is right. No code of a vendor is in them.
 */

import type { Answer } from "../../src/classify/features.ts";
import type { VerdictKind } from "../../src/classify/rules.ts";

export interface Specimen {
  readonly name: string;
  readonly kind: VerdictKind | "page";
  readonly vendor?: string;
  readonly answer: Answer;
}

const specimens: Specimen[] = [];
export const corpus: readonly Specimen[] = specimens;

interface Shape {
  readonly status?: number;
  readonly headers?: readonly (readonly [string, string])[];
  readonly asked?: string;
  readonly url?: string;
  readonly body?: string;
}

function add(kind: Specimen["kind"], name: string, shape: Shape, vendor?: string): void {
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

function html(title: string, body: string, head = ""): string {
  return `<!doctype html><html lang="en"><head><title>${title}</title>${head}</head><body>${body}</body></html>`;
}

const paragraph =
  "<p>The lighthouse stands on the northern cliff and has been kept by the same family for four " +
  "generations. Visitors climb two hundred and eleven steps, and on clear days they see the " +
  "coast of the neighbouring island. Tickets are sold at the gate from nine in the morning.</p>";
const article = `<nav>${'<a href="/x">Section</a>'.repeat(20)}</nav><main>${paragraph.repeat(12)}</main>`;
const type: readonly [string, string] = ["content-type", "text/html"];

// Captchas
add(
  "captcha",
  "turnstile alone on a page",
  {
    status: 403,
    body: html(
      "One step",
      '<h1>Security</h1><div class="cf-turnstile"></div>',
      '<script src="https://challenges.cloudflare.com/turnstile/v0/api.js"></script>',
    ),
  },
  "cloudflare",
);
add(
  "captcha",
  "datadome frame",
  {
    status: 403,
    headers: [type, ["x-datadome", "protected"], ["set-cookie", "datadome=abc; Path=/"]],
    body: html(
      "shop.example",
      "<p>Please enable JS and disable any ad blocker</p>",
      "<script>var dd={'rt':'c','cid':'AHrl','hsh':'X','t':'bv'}</script><script src=\"https://ct.captcha-delivery.com/c.js\"></script>",
    ),
  },
  "datadome",
);
add(
  "captcha",
  "datadome iframe in place",
  {
    status: 403,
    headers: [type, ["x-dd-b", "1"]],
    body: html(
      "",
      '<iframe src="https://geo.captcha-delivery.com/captcha/?initialCid=A"></iframe>',
    ),
  },
  "datadome",
);
add(
  "captcha",
  "press and hold",
  {
    status: 403,
    body: html(
      "Access to this page has been denied",
      '<h1>Before we continue...</h1><p>Press &amp; Hold to confirm you are a human (and not a bot).</p><div id="px-captcha"></div>',
      "<script>window._pxAppId='PXabcdef';</script>",
    ),
  },
  "human",
);
add(
  "captcha",
  "imperva with hcaptcha",
  {
    headers: [type, ["x-iinfo", "8-123-0"], ["set-cookie", "visid_incap_1=a"]],
    body: html(
      "",
      '<div class="h-captcha"></div><iframe src="/_Incapsula_Resource?CWUDNSAI=9"></iframe>',
    ),
  },
  "imperva",
);
add(
  "captcha",
  "aws waf captcha",
  {
    status: 405,
    headers: [type, ["x-amzn-waf-action", "captcha"]],
    body: html(
      "Human Verification",
      '<div id="captcha-container"></div>',
      '<script src="https://a.captcha.awswaf.com/a/captcha.js"></script>',
    ),
  },
  "aws-waf",
);
add(
  "captcha",
  "amazon characters",
  {
    asked: "https://www.amazon.example/dp/B0",
    body: html(
      "Amazon",
      '<h4>Enter the characters you see below</h4><p>Sorry, we just need to make sure you\'re not a robot.</p><form action="/errors/validateCaptcha"><p>Type the characters you see in this image:</p><img src="https://images.example/captcha/a.jpg"></form>',
    ),
  },
  "amazon",
);
add(
  "captcha",
  "google sorry",
  {
    status: 429,
    asked: "https://www.google.com/search?q=x",
    url: "https://www.google.com/sorry/index?continue=x",
    body: html(
      "https://www.google.com/search",
      "<p>Our systems have detected unusual traffic from your computer network.</p><div class='g-recaptcha'></div>",
    ),
  },
  "google",
);
add(
  "captcha",
  "yandex showcaptcha",
  {
    asked: "https://yandex.example/search?text=x",
    url: "https://yandex.example/showcaptcha?cc=1",
    headers: [type, ["x-yandex-captcha", "captcha"]],
    body: html("Are you not a robot?", "<p>Confirm that you are not a robot</p>"),
  },
  "yandex",
);
add(
  "captcha",
  "baidu",
  {
    asked: "https://www.baidu.example/s?wd=x",
    url: "https://wappass.baidu.com/static/captcha/tuxing.html",
    body: html("百度安全验证", "<p>请完成下方验证</p>"),
  },
  "baidu",
);
add(
  "captcha",
  "alibaba punish page",
  {
    asked: "https://item.taobao.example/1",
    url: "https://item.taobao.example/1/_____tmd_____/punish?x5secdata=q",
    body: html("Captcha Interception", "<p>Sorry, we have detected unusual traffic.</p>"),
  },
  "alibaba",
);
add(
  "captcha",
  "tencent",
  {
    body: html(
      "验证",
      '<div id="cap"></div>',
      '<script src="https://turing.captcha.qcloud.com/TCaptcha.js"></script>',
    ),
  },
  "tencent",
);
add(
  "captcha",
  "geetest slide",
  {
    status: 403,
    body: html(
      "Verification",
      '<div class="geetest_panel"></div><p>Slide to complete</p>',
      '<script src="https://static.geetest.com/v4/gt4.js"></script>',
    ),
  },
  "geetest",
);
add(
  "captcha",
  "radware",
  {
    asked: "https://tickets.example/a",
    url: "https://validate.perfdrive.com/abc/captcha",
    body: html("Captcha", "<p>We apologize for the inconvenience</p>"),
  },
  "radware",
);
add(
  "captcha",
  "distil",
  {
    status: 405,
    body: html(
      "Pardon",
      '<div id="distilIdentificationBlock"></div><form action="/distil_r_captcha.html"></form>',
    ),
  },
  "imperva",
);
add(
  "captcha",
  "arkose",
  {
    status: 403,
    body: html(
      "Verify",
      "<p>Please solve this puzzle</p>",
      '<script src="https://client-api.arkoselabs.com/v2/K/api.js"></script>',
    ),
  },
  "arkose",
);
add(
  "captcha",
  "recaptcha alone on a page",
  {
    body: html(
      "Verify",
      '<p>To continue, please verify that you are human.</p><form><div class="g-recaptcha" data-sitekey="k"></div></form>',
      '<script src="https://www.google.com/recaptcha/api.js"></script>',
    ),
  },
  "recaptcha",
);
add(
  "captcha",
  "hcaptcha with a refusal",
  {
    status: 403,
    body: html(
      "Check",
      '<div class="h-captcha"></div>',
      '<script src="https://js.hcaptcha.com/1/api.js"></script>',
    ),
  },
  "hcaptcha",
);
add("captcha", "home-made picture", {
  body: html(
    "Security check",
    '<p>Are you a robot? Enter the captcha to go on.</p><img src="/captcha.png"><input name="answer">',
  ),
});
add("captcha", "home-made, german", {
  body: html("Sicherheitsprüfung", "<p>Bitte bestätigen: Ich bin kein Roboter</p>"),
});
add(
  "captcha",
  "azure front door",
  {
    status: 403,
    body: html("Verify", "<p>Checking</p>", '<script src="/.azwaf/captcha/x.js"></script>'),
  },
  "azure",
);

// Challenges
add(
  "challenge",
  "cloudflare header",
  {
    status: 403,
    headers: [type, ["server", "cloudflare"], ["cf-mitigated", "challenge"]],
    body: html(
      "Just a moment...",
      "<noscript>Enable JavaScript and cookies to continue</noscript>",
      '<script>window._cf_chl_opt={cType:"managed"};a.src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1?ray=1"</script>',
    ),
  },
  "cloudflare",
);
add(
  "challenge",
  "cloudflare without header",
  {
    status: 503,
    body: html(
      "Just a moment...",
      "<h1>Checking your browser before accessing shop.example.</h1><p>This process is automatic. Your browser will redirect shortly.</p>",
    ),
  },
  "cloudflare",
);
add(
  "challenge",
  "akamai behavioural",
  {
    status: 428,
    body: html(
      "Challenge",
      '<div id="sec-if-cpt-container"></div>',
      '<script src="/_sec/cp_challenge/crypto_message-4-3.htm"></script>',
    ),
  },
  "akamai",
);
add(
  "challenge",
  "akamai refresh",
  {
    body: html("", "", '<meta http-equiv="refresh" content="5; URL=\'/?bm-verify=AAQAAA\'">'),
  },
  "akamai",
);
add(
  "challenge",
  "datadome interstitial",
  {
    status: 403,
    headers: [type, ["x-datadome", "protected"]],
    body: html(
      "shop.example",
      "",
      "<script>var dd={'rt':'i','cid':'A'}</script><script src='https://ct.captcha-delivery.com/i.js'></script>",
    ),
  },
  "datadome",
);
add(
  "challenge",
  "imperva resource",
  {
    headers: [type, ["x-iinfo", "1-2-3"], ["set-cookie", "incap_ses_1=a"]],
    body: html("", '<iframe src="/_Incapsula_Resource?SWUDNSAI=31"></iframe>'),
  },
  "imperva",
);
add(
  "challenge",
  "pardon our interruption",
  {
    body: html(
      "Pardon Our Interruption",
      "<p>As you were browsing something about your browser made us think you were a bot.</p>",
    ),
  },
  "imperva",
);
add(
  "challenge",
  "sucuri cookie script",
  {
    body: html(
      "You are being redirected...",
      "",
      "<script>var s={},u,c,sucuri_cloudproxy_js='';</script>",
    ),
  },
  "sucuri",
);
add(
  "challenge",
  "kasada with 429",
  {
    status: 429,
    headers: [type, ["x-kpsdk-ct", "0Ab"]],
    body: html(
      "",
      "",
      '<script>window.KPSDK={};</script><script src="/149e9513-01fa/2d206a39/ips.js?KP_UIDz=a"></script>',
    ),
  },
  "kasada",
);
add(
  "challenge",
  "aws waf challenge",
  {
    status: 202,
    headers: [type, ["x-amzn-waf-action", "challenge"]],
    body: html(
      "",
      '<div id="challenge-container"></div>',
      '<script src="https://x.token.awswaf.com/x/challenge.js"></script>',
    ),
  },
  "aws-waf",
);
add(
  "challenge",
  "f5 script",
  {
    body: html(
      "",
      "<p>Please enable JavaScript to view the page content.</p>",
      '<script src="/TSPD/0841b?type=9"></script>',
    ),
  },
  "f5",
);
add(
  "challenge",
  "vercel",
  {
    status: 429,
    headers: [type, ["x-vercel-mitigated", "challenge"]],
    body: html("Vercel Security Checkpoint", "<p>We're verifying your browser</p>"),
  },
  "vercel",
);
add(
  "challenge",
  "fastly",
  {
    body: html(
      "Client Challenge",
      "<p>JavaScript is disabled in your browser.</p>",
      '<script src="/_fs-ch-1T1wmsGaOgGaSxcX/script.js"></script>',
    ),
  },
  "fastly",
);
add(
  "challenge",
  "anubis",
  {
    body: html(
      "Making sure you're not a bot!",
      '<h1>Making sure you\'re not a bot!</h1><img src="/.within.website/x/cmd/anubis/static/img/happy.webp">',
      '<script id="anubis_challenge" type="application/json">{}</script>',
    ),
  },
  "anubis",
);
add(
  "challenge",
  "ddos-guard",
  {
    status: 403,
    headers: [type, ["server", "ddos-guard"]],
    body: html(
      "DDoS-Guard",
      "<p>Checking your browser before accessing shop.example</p>",
      '<script src="/.well-known/ddos-guard/js-challenge/index.js"></script>',
    ),
  },
  "ddos-guard",
);
add(
  "challenge",
  "qrator",
  {
    status: 401,
    body: html("", "", '<script src="/__qrator/qauth_utm_v2.js"></script>'),
  },
  "qrator",
);
add(
  "challenge",
  "reblaze",
  {
    body: html("", "", '<script>window.rbzns={"bereshit":"1"}</script>'),
  },
  "reblaze",
);
add("challenge", "unknown vendor", {
  status: 503,
  body: html("One moment, please...", "<h1>Please wait while we verify your browser</h1>"),
});

// Blocks
add(
  "block",
  "cloudflare 1020",
  {
    status: 403,
    headers: [type, ["server", "cloudflare"]],
    body: html(
      "Attention Required! | Cloudflare",
      "<h1>Sorry, you have been blocked</h1><h2>You are unable to access shop.example</h2>",
    ),
  },
  "cloudflare",
);
add(
  "block",
  "cloudflare plain text code",
  {
    status: 403,
    headers: [
      ["content-type", "text/plain; charset=UTF-8"],
      ["server", "cloudflare"],
    ],
    body: "error code: 1010",
  },
  "cloudflare",
);
add(
  "block",
  "akamai",
  {
    status: 403,
    headers: [type, ["server", "AkamaiGHost"]],
    body: html(
      "Access Denied",
      '<h1>Access Denied</h1>You don\'t have permission to access "http://shop.example/" on this server.<p>Reference #18.2d351ab8.1</p><p>https://errors.edgesuite.net/18.2d</p>',
    ),
  },
  "akamai",
);
add(
  "block",
  "imperva incident",
  {
    status: 403,
    headers: [type, ["x-cdn", "Imperva"]],
    body: html("", "<p>Request unsuccessful. Incapsula incident ID: 1-2</p>"),
  },
  "imperva",
);
add(
  "block",
  "sucuri",
  {
    status: 403,
    headers: [type, ["x-sucuri-id", "15016"], ["x-sucuri-block", "GEO02"]],
    body: html(
      "Sucuri WebSite Firewall - Access Denied",
      "<h1>Access Denied - Sucuri Website Firewall</h1>",
    ),
  },
  "sucuri",
);
add(
  "block",
  "cloudfront",
  {
    status: 403,
    headers: [type, ["server", "CloudFront"]],
    body: html(
      "ERROR: The request could not be satisfied",
      "<h1>403 ERROR</h1><p>Request blocked. We can't connect to the server for this app.</p><pre>Generated by cloudfront (CloudFront)</pre>",
    ),
  },
  "cloudfront",
);
add(
  "block",
  "f5",
  {
    body: html(
      "Request Rejected",
      "<p>The requested URL was rejected. Please consult with your administrator.</p><p>Your support ID is: 123</p>",
    ),
  },
  "f5",
);
add(
  "block",
  "wordfence",
  {
    status: 503,
    body: html(
      "Your access to this site has been limited",
      "<p>Your access to this service has been limited. (HTTP response code 503)</p><p>Generated by Wordfence</p>",
    ),
  },
  "wordfence",
);
add(
  "block",
  "mod_security",
  {
    status: 406,
    body: html(
      "Not Acceptable!",
      "<h1>Not Acceptable!</h1><p>This error was generated by Mod_Security.</p>",
    ),
  },
  "modsecurity",
);
add("block", "linkedin 999", { status: 999, body: "" }, "linkedin");
add(
  "block",
  "reddit",
  {
    status: 403,
    body: html(
      "Blocked",
      "<p>You've been blocked by network security.</p><p>To continue, log in to your account</p>",
    ),
  },
  "reddit",
);
add(
  "block",
  "amazon automated access",
  {
    status: 503,
    body: html(
      "Sorry! Something went wrong!",
      "<p>To discuss automated access to Amazon data please contact api-services-support@amazon.example</p>",
    ),
  },
  "amazon",
);
add(
  "block",
  "vercel deny",
  {
    status: 403,
    headers: [type, ["x-vercel-mitigated", "deny"]],
    body: "Forbidden",
  },
  "vercel",
);
add(
  "block",
  "barracuda",
  {
    body: html(
      "Blocked",
      "<p>The request was blocked by the Barracuda Web Application Firewall. Event ID: 1</p>",
    ),
  },
  "barracuda",
);
add(
  "block",
  "fortinet",
  {
    body: html(
      "Web Page Blocked!",
      "<h2>Web Page Blocked!</h2><p>The page cannot be displayed. FortiWeb</p>",
    ),
  },
  "fortinet",
);
add("block", "a bare 403", { status: 403, body: html("403 Forbidden", "<h1>Forbidden</h1>") });
add("block", "200 with words of refusal", {
  body: html(
    "Access denied",
    "<p>Your IP address has been blocked because of automated requests.</p>",
  ),
});
add("block", "legal reasons", {
  status: 451,
  body: html("Unavailable", "<p>Not in your country.</p>"),
});
add("block", "french", { status: 403, body: html("Erreur", "<h1>Accès refusé</h1>") });

// Rate limits
add("rate_limit", "a bare 429", { status: 429, headers: [type, ["retry-after", "30"]], body: "" });
add(
  "rate_limit",
  "cloudflare 1015",
  {
    status: 429,
    headers: [type, ["server", "cloudflare"]],
    body: html("Access denied", "<h1>Error 1015</h1><p>You are being rate limited</p>"),
  },
  "cloudflare",
);
add("rate_limit", "200 with words", {
  body: html("Error", "<h1>Too many requests</h1><p>Slow down and try again later.</p>"),
});
add("rate_limit", "shopify 430", { status: 430, body: "" }, "shopify");
add("rate_limit", "503 with Retry-After and words", {
  status: 503,
  headers: [type, ["retry-after", "120"]],
  body: html("Busy", "<p>Rate limit exceeded</p>"),
});

// Login walls
add("login_wall", "401 of HTTP", {
  status: 401,
  headers: [type, ["www-authenticate", 'Basic realm="x"']],
  body: html("Unauthorized", "<h1>Authorization Required</h1>"),
});
add("login_wall", "redirected to a form", {
  asked: "https://forum.example/thread/9",
  url: "https://forum.example/login?next=/thread/9",
  body: html(
    "Sign in",
    '<form action="/session"><input name="user"><input type="password" name="p"></form>',
  ),
});
add(
  "login_wall",
  "linkedin authwall",
  {
    asked: "https://www.linkedin.example/in/ann",
    url: "https://www.linkedin.example/authwall?trk=x",
    body: html("Sign Up", '<p>Join to see more</p><input type="password">'),
  },
  "linkedin",
);
add("login_wall", "words in place of the article", {
  body: html(
    "Thread",
    '<p>You must be logged in to see this thread.</p><a href="/login">Log in</a>',
  ),
});

// Soft 404
add("soft_404", "title and words", {
  body: html("Page not found - Shop", "<h1>Oops</h1><p>We couldn't find that page.</p>"),
});
add("soft_404", "german", {
  body: html("Seite nicht gefunden", "<p>Die Seite gibt es nicht mehr.</p>"),
});
add("soft_404", "404 in the title", {
  body: html("404 | Blog", "<p>This page doesn't exist. It may have moved.</p>"),
});

// Shells
add("empty_shell", "react", {
  body: html(
    "App",
    '<div id="root"></div><noscript>You need to enable JavaScript to run this app.</noscript>',
    '<script src="/static/js/main.1.js" defer></script>',
  ),
});
add("empty_shell", "angular", {
  body: html(
    "Shop",
    '<app-root class="app-root"></app-root>',
    '<script src="/main.js" type="module"></script>',
  ),
});
add("empty_shell", "says so", {
  body: html(
    "Shop",
    '<div id="app"><p>This site requires JavaScript</p></div>',
    '<script src="/a.js"></script>',
  ),
});

// Ordinary pages
add("page", "an article", { body: html("The lighthouse", article) });
add("page", "a short page", {
  body: html(
    "Example Domain",
    "<h1>Example Domain</h1><p>This domain is for use in illustrative examples in documents.</p><a href='https://iana.org'>More</a>",
  ),
});
add("page", "an article about captchas", {
  body: html(
    "Are you a robot? A history of the CAPTCHA",
    `<h1>Are you a robot?</h1><p>Every visitor has been asked to solve the captcha and to verify you are human.</p>${article}<pre>&lt;iframe src="https://geo.captcha-delivery.com/captcha/"&gt;&lt;div class="g-recaptcha"&gt;</pre>`,
  ),
});
add("page", "documentation of a challenge page", {
  headers: [type, ["server", "cloudflare"]],
  body: html(
    "Challenge pages · Docs",
    `<h1>Just a moment...</h1><p>Checking your browser before accessing is what visitors see. Error code: 1020 means that you have been blocked.</p>${article}<code>window._cf_chl_opt</code>`,
  ),
});
add("page", "a shop behind cloudflare with its detection script", {
  headers: [type, ["server", "cloudflare"], ["cf-ray", "1"], ["set-cookie", "__cf_bm=a"]],
  body: html(
    "Lamp",
    article,
    '<script>a.src="/cdn-cgi/challenge-platform/scripts/jsd/main.js"</script>',
  ),
});
add("page", "a short page behind cloudflare with its detection script", {
  headers: [type, ["server", "cloudflare"]],
  body: html(
    "Opening hours",
    "<h1>Opening hours</h1><p>Monday to Friday, nine to five. Closed on public holidays. Call us for an appointment outside of these hours.</p>",
    '<script>a.src="/cdn-cgi/challenge-platform/scripts/jsd/main.js"</script>',
  ),
});
add("page", "a page protected by datadome that came through", {
  headers: [type, ["x-datadome", "protected"], ["set-cookie", "datadome=1"]],
  body: html("Shoes", article, '<script src="https://js.datadome.co/tags.js"></script>'),
});
add("page", "a page with the script of human", {
  body: html(
    "Sofa",
    article,
    "<script>window._pxAppId='PX1';</script><script src='//client.px-cdn.net/PX1/main.min.js'></script>",
  ),
});
add("page", "a page behind imperva", {
  headers: [type, ["x-iinfo", "1"], ["x-cdn", "Imperva"], ["set-cookie", "visid_incap_9=a"]],
  body: html("Bank", article),
});
add("page", "a contact form with recaptcha", {
  body: html(
    "Contact",
    `${article}<form action="/contact"><textarea></textarea><div class="g-recaptcha"></div></form>`,
    '<script src="https://www.google.com/recaptcha/api.js"></script>',
  ),
});
add("page", "a login page that was asked for", {
  asked: "https://forum.example/login",
  body: html(
    "Sign in",
    '<h1>Sign in</h1><form><input name="u"><input type="password"></form><a href="/join">Join</a>',
  ),
});
add("page", "a login page with recaptcha that was asked for", {
  asked: "https://forum.example/login",
  body: html(
    "Sign in",
    '<form><input type="password"><div class="g-recaptcha"></div></form>',
    '<script src="https://www.google.com/recaptcha/api.js"></script>',
  ),
});
add("page", "a question about status 403", {
  body: html(
    "How do I fix 403 Access denied? - Questions",
    `<h1>How do I fix "Access denied"?</h1><p>My request has been blocked.</p>${article}`,
  ),
});
add("page", "a blog post on rate limits", {
  body: html(
    "Too many requests: limits that are kind",
    `<p>Rate limit exceeded is what nobody wants to read.</p>${article}`,
  ),
});
add("page", "an honest 404", { status: 404, body: html("404 Not Found", "<h1>Not Found</h1>") });
add("page", "a server error", {
  status: 500,
  body: html("Error", "<h1>Internal Server Error</h1>"),
});
add("page", "maintenance without Retry-After", {
  status: 503,
  body: html("Down for maintenance", "<p>We will be back at noon.</p>"),
});
add("page", "a rendered react page", {
  body: html(
    "News",
    `<div id="__next">${article}</div>`,
    '<script src="/_next/a.js"></script>'.repeat(12),
  ),
});
add("page", "json of an API", {
  headers: [["content-type", "application/json"]],
  body: '{"error":null,"items":[{"name":"captcha","note":"access denied"}]}',
});
add("page", "a text file", {
  headers: [["content-type", "text/plain"]],
  body: "User-agent: *\nDisallow:\n",
});
add("page", "nothing", { status: 204, headers: [], body: "" });
add("page", "a picture", { headers: [["content-type", "image/png"]], body: "\u0089PNG" });
add("page", "a redirect to another language", {
  asked: "https://shop.example/",
  url: "https://shop.example/de/",
  body: html("Laden", article),
});
add("page", "a page of a vendor of captchas", {
  body: html(
    "hCaptcha alternative",
    `${article}<div class="h-captcha"></div>`,
    '<script src="https://js.hcaptcha.com/1/api.js"></script>',
  ),
});
add("page", "a film called Access Denied", {
  body: html("Access Denied (2019) - Films", `<h1>Access Denied</h1>${article}`),
});
add("page", "an article page with a comment form behind login words", {
  body: html("Recipe", `${article}<p>You must be logged in to post a comment.</p>`),
});
add("page", "a page in another alphabet", {
  body: html(
    "灯台",
    `<nav>${'<a href="/x">地図</a>'.repeat(20)}</nav><p>${"北の崖に灯台が立っている。".repeat(80)}</p>`,
  ),
});
add("page", "a tiny page with one script", {
  body: html(
    "Clock",
    "<h1>What time is it?</h1><p>The time is shown above once a second, in the zone of your computer.</p>",
    "<script>tick()</script>",
  ),
});
