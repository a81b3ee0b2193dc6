/** Pages that are there and have nothing to read. */

import { add, html } from "./specimen.ts";

add("soft_404", "title and words", {
  body: html("Page not found - Shop", "<h1>Oops</h1><p>We couldn't find that page.</p>"),
});
add("soft_404", "german", {
  body: html("Seite nicht gefunden", "<p>Die Seite gibt es nicht mehr.</p>"),
});
add("soft_404", "404 in the title", {
  body: html("404 | Blog", "<p>This page doesn't exist. It may have moved.</p>"),
});

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
