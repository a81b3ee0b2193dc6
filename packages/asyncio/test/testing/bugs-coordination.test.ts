import { testAll } from "./bugs/check.ts";
import { coordination } from "./bugs/coordination.ts";

testAll(coordination);
