/** All specimens, from the files of `corpus/`. */

import "./corpus/captchas.ts";
import "./corpus/challenges.ts";
import "./corpus/refusals.ts";
import "./corpus/other-pages.ts";
import "./corpus/ordinary-pages.ts";

export { type Specimen, specimens as corpus } from "./corpus/specimen.ts";
