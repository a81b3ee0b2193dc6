import { testAll } from "./bugs/check.ts";
import { interruptions } from "./bugs/interruptions.ts";

testAll(interruptions);
