// What the types of the public doors say: what takes options and which, what takes a number or a
// function. Tests hold lists of all of them against it, so that nothing new can be forgotten.

import assert from "node:assert/strict";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import {
  API,
  SignatureKind,
  SymbolFlags,
  type Type,
  TypeFlags,
  type Symbol as TypeSymbol,
  type UnionType,
} from "typescript/unstable/sync";
import * as asyncio from "../src/index.ts";

/** What has a parameter of options. */
export interface Taker {
  /** The names of its options. */
  readonly options: string[];
  /** Those of them that are objects of options. */
  readonly parts: string[];
  /** Those of them that are numbers. */
  readonly numbers: string[];
  /** Those of them that are functions. */
  readonly functions: string[];
  /** What they are of the kinds that `checkOptions` knows, by their names. */
  readonly kinds: Record<string, string>;
  /** Whether it returns a promise. */
  readonly isOperation: boolean;
}

/** Everything public, by its name. */
export interface PublicTypes {
  /** What has a parameter of options. */
  readonly takers: Map<string, Taker>;
  /** Parameters, as "sleep(delay)", and properties that can be set, as "Pool.max". */
  readonly numbers: Set<string>;
  readonly functions: Set<string>;
  /** Parameters of any other type that not every value is of. */
  readonly others: Set<string>;
}

/** The types of options that `checkOptions` looks at, and how they are written. */
const kinds: Record<string, string> = {
  string: "string",
  boolean: "boolean",
  true: "boolean",
  false: "boolean",
  AbortSignal: "AbortSignal",
  Context: "Context",
};

export function readTypes(): PublicTypes {
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const config = `${root}packages/asyncio/tsconfig.json`;
  const api = new API({ cwd: root });
  after(() => api.close());
  const project = api.updateSnapshot({ openProject: config }).getProject(config);
  assert.ok(project !== undefined);
  const { checker, program } = project;
  const takers = new Map<string, Taker>();
  const numbers = new Set<string>();
  const functions = new Set<string>();
  const others = new Set<string>();
  const isFunction = (type: Type): boolean =>
    partsOf(type).some((part) => checker.getSignaturesOfType(part, SignatureKind.Call).length > 0);

  const typeOf = (symbol: TypeSymbol) => {
    const type = checker.getTypeOfSymbol(symbol) ?? assert.fail();
    return checker.getNonNullableType(type) ?? type;
  };
  const look = (name: string, owner: TypeSymbol, kind: SignatureKind): void => {
    for (const signature of checker.getSignaturesOfType(typeOf(owner), kind)) {
      for (const parameter of signature.getParameters()) {
        const declared = typeOf(parameter);
        const text = checker.typeToString(declared);
        const shape = checker.getBaseConstraintOfType(declared) ?? declared;
        if (isNumber(shape)) numbers.add(`${name}(${parameter.name})`);
        if (isFunction(shape)) functions.add(`${name}(${parameter.name})`);
        const isOption = parameter.name === "options" || /Options\b/.test(text);
        const isAny = /^(unknown|any|\{\}|[A-Z]|(unknown|never)\[\])$/.test(
          checker.typeToString(shape),
        );
        const isOfProgram = /Options\./.test(name); // called by us
        if (!isNumber(shape) && !isFunction(shape) && !isOption && !isAny && !isOfProgram)
          others.add(`${name}(${parameter.name})`);
        const isOfHost = text === "ErrorOptions"; // of an error, which goes to the host's Error
        if (isOfHost || !isOption) continue;
        const type = checker.getBaseConstraintOfType(declared) ?? declared;
        const properties = partsOf(type).flatMap((part) => checker.getPropertiesOfType(part));
        const parts = properties.filter((property) =>
          /Options\b|Partial<Address>|\bhost\?:/.test(checker.typeToString(typeOf(property))),
        );
        const result = checker.getReturnTypeOfSignature(signature);
        const known = takers.get(name);
        takers.set(name, {
          options: namesOf([...(known?.options ?? []), ...properties.map((one) => one.name)]),
          numbers: namesOf([
            ...(known?.numbers ?? []),
            ...properties.filter((one) => isNumber(typeOf(one))).map((one) => one.name),
          ]),
          functions: namesOf([
            ...(known?.functions ?? []),
            ...properties.filter((one) => isFunction(typeOf(one))).map((one) => one.name),
          ]),
          kinds: Object.fromEntries([
            ...Object.entries(known?.kinds ?? {}),
            ...properties.flatMap((one) => {
              const kind = kinds[checker.typeToString(typeOf(one))];
              return kind === undefined ? [] : [[one.name, kind] as const];
            }),
          ]),
          parts: namesOf([...(known?.parts ?? []), ...parts.map((one) => one.name)]),
          isOperation: result !== undefined && /^Promise</.test(checker.typeToString(result)),
        });
      }
    }
  };

  for (const door of ["index", "executors", "lowlevel", "patterns", "testing", "worker"]) {
    const file = program.getSourceFile(`${root}packages/asyncio/src/${door}.ts`) ?? assert.fail();
    for (const exported of checker.getExportsOfModule(
      checker.getSymbolAtLocation(file) ?? assert.fail(),
    )) {
      const symbol =
        exported.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      if (symbol.flags & SymbolFlags.Value) {
        look(symbol.name, symbol, SignatureKind.Call);
        look(`new ${symbol.name}`, symbol, SignatureKind.Construct);
      }
      if (!(symbol.flags & (SymbolFlags.Class | SymbolFlags.Interface))) continue;
      for (const member of checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))) {
        const isOurs = checker.getJsDocTagsOfSymbol(member).some(({ name }) => name === "internal");
        if (isOurs || member.name.startsWith("__")) continue; // private members, and symbols
        const parent = member.getParent()?.name ?? symbol.name;
        const owner = parent in asyncio ? parent : symbol.name;
        look(`${owner}.${member.name}`, member, SignatureKind.Call);
        const isSet = (member.flags & SymbolFlags.SetAccessor) !== 0;
        if (isSet && isNumber(typeOf(member))) numbers.add(`${owner}.${member.name}`);
      }
    }
  }
  return { takers, numbers, functions, others };
}

/** Whether a type allows any number. */
function isNumber(type: Type): boolean {
  const types = type.flags & TypeFlags.Union ? (type as UnionType).getTypes() : [type];
  return types.some((part) => part.flags & TypeFlags.Number);
}

/** The objects that a type allows. */
function partsOf(type: Type): readonly Type[] {
  const types = type.flags & TypeFlags.Union ? (type as UnionType).getTypes() : [type];
  return types.filter((part) => part.flags & (TypeFlags.Object | TypeFlags.Intersection));
}

function namesOf(names: readonly string[]): string[] {
  return [...new Set(names)];
}
