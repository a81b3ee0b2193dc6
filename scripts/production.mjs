// What the production build of a package leaves out (docs/design.md, D56), as a plugin of esbuild:
//
// - a module below `src/production` stands for the one of the same path in `src`: it has the same
//   names, and says less;
// - calls of `advice`, which end messages by what to do, become "". So each is given one literal.
//
// Nothing else differs: what the code does, its errors and their codes, the order of events.

import { existsSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";

const call = /\badvice\(\s*("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`),?\s*\)/g;

/** The code of a module without advice. Lines stay where they are. */
export function withoutAdvice(code) {
  return code.replaceAll(call, (text) => `""${text.replaceAll(/[^\n]/g, "")}`);
}

export function productionBuild(source) {
  return {
    name: "production",
    setup(build) {
      build.onResolve({ filter: /^\.{1,2}\// }, ({ path, importer, resolveDir }) => {
        const module = resolve(resolveDir, path);
        const standIn = join(source, "production", relative(source, module));
        return existsSync(standIn) && standIn !== importer ? { path: standIn } : undefined;
      });
      build.onLoad({ filter: /\.ts$/, namespace: "file" }, ({ path }) => ({
        contents: withoutAdvice(readFileSync(path, "utf8")),
        loader: "ts",
      }));
    },
  };
}
