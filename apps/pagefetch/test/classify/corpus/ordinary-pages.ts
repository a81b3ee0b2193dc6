/** Ordinary pages, and those that look like something else. */

import { add, article, html, type } from "./specimen.ts";

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
