/** A task for a human in place of a page. */

import { add, html, type } from "./specimen.ts";

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
