// What the production build of a package leaves out (docs/design.md, D56), as a plugin of esbuild:
//
// - a module below `src/production` stands for the one of the same path in `src`: it has the same
//   names, and says less;
// - calls of `advice`, which explain or say what to do, become "". So each is given one literal.
//   So do calls of `adviceFor` and `adviceOnName`, which look for that.
//
// Nothing else differs: what the code does, its errors and their codes, the order of events.

import { existsSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";

const call = /\badvice\(\s*("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`),?\s*\)/g;

const search = /(?<!function )\badvice(?:For|OnName)\((?:[^()]|\([^()]*\))*\)/g;

/** The code of a module without advice. Lines stay where they are. */
export function withoutAdvice(code) {
  const nothing = (text) => `""${text.replaceAll(/[^\n]/g, "")}`;
  return code.replaceAll(call, nothing).replaceAll(search, nothing);
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
