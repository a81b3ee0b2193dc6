/** A script to run first in place of a page. */

import { add, html, type } from "./specimen.ts";

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
