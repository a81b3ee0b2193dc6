/**
 * What can be asked of a database, of a session, of a transaction: the same calls, and each of them
 * says only how a request gets to a connection.
 */

import { checkpoint } from "asyncio-ts/lowlevel";
import type { Answer, Dialect, Parsers, Request, Statement } from "./driver.ts";
import { NoRowError, RowError, TooManyRowsError } from "./errors.ts";
import { argumentError, checkFlag, checkOptions, checkText, type Names } from "./options.ts";
import { checkSql, compile, type Sql, titleOf } from "./sql.ts";

/** A schema that can check a row: Zod, Valibot, ArkType and others have it. */
export interface RowSchema<Row> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Row> | Promise<SchemaResult<Row>>;
  };
}

/** What a schema says. */
export type SchemaResult<Row> =
  | { readonly value: Row; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/** What a query takes. */
export interface QueryOptions<Row> {
  /** What reports and errors call it. @default the beginning of its text */
  readonly name?: string | undefined;
  /** Checks each row, by Standard Schema. A RowError if one is wrong. */
  readonly row?: RowSchema<Row> | undefined;
  /** Whether the server keeps its plan. @default true for a template with nothing but values in it */
  readonly prepare?: boolean | undefined;
}

const QUERY: Names<QueryOptions<unknown>> = { name: 1, row: 1, prepare: 1 };

/** What `raw` gives: the answer of the server as it came. */
export interface RawResult {
  readonly rows: readonly unknown[];
  readonly count: number;
  readonly command: string;
  readonly fields: readonly { readonly name: string; readonly type: number }[];
}

/** A request with its title, ready to be sent. */
export interface Prepared {
  readonly statement: Statement;
  readonly title: string;
}

/** What all that can be queried has. */
export abstract class Queries {
  /** @internal How requests are written. */
  protected abstract readonly dialect: Dialect;
  /** @internal Whether plans are kept at all. */
  protected abstract readonly prepares: boolean;

  /** @internal Sends a request to a connection. */
  protected abstract send(request: Request, title: string): Promise<readonly Answer[]>;

  /**
   * Runs a query and gives its rows. Waits for a connection and for the server. Cancelled, it makes
   * the server end the query and waits until it has; then its connection can be used again.
   */
  async query<Row = Record<string, unknown>>(
    query: Sql,
    options?: QueryOptions<Row>,
  ): Promise<Row[]> {
    const { statement, title } = this.prepareQuery("`query`", query, options);
    const [answer] = await this.send({ kind: "query", statement }, title);
    return options?.row === undefined
      ? unchecked<Row>(answer)
      : await rowsOf(answer, title, options.row);
  }

  /**
   * Runs a query that gives one row, and gives that. Rejects with a NoRowError or a TooManyRowsError
   * if it does not.
   */
  async one<Row = Record<string, unknown>>(query: Sql, options?: QueryOptions<Row>): Promise<Row> {
    const { statement, title } = this.prepareQuery("`one`", query, options);
    const [answer] = await this.send({ kind: "query", statement }, title);
    const rows = await rowsOf(answer, title, options?.row);
    if (rows.length > 1) throw new TooManyRowsError(title, rows.length);
    if (rows.length === 0) throw new NoRowError(title);
    return rows[0] as Row; // there is one
  }

  /**
   * Runs a statement and gives the number of rows that it has changed. What a `set` outside of a
   * transaction and a session has changed is undone before another call has the connection.
   */
  async execute(query: Sql, options?: QueryOptions<never>): Promise<number> {
    const { statement, title } = this.prepareQuery("`execute`", query, options);
    const [answer] = await this.send({ kind: "query", statement }, title);
    return answer?.count ?? 0;
  }

  /**
   * Runs several statements in one round trip, and gives the rows of each. Outside a transaction
   * they are one: all take effect, or none does. That of a database refuses what begins or ends a
   * transaction by hand, by an InvalidStateError.
   */
  async batch(queries: readonly Sql[], options?: { readonly name?: string }): Promise<unknown[][]> {
    if (!Array.isArray(queries)) throw argumentError("`batch`", "an array of queries", queries);
    checkOptions("`batch`", options, { name: 1 });
    checkText("`batch`", "name", options?.name);
    const all = queries.map((query) => this.prepareQuery("`batch`", query, options));
    if (all.length === 0) {
      await checkpoint();
      return [];
    }
    const title = options?.name ?? `${all[0]?.title} and ${all.length - 1} more`;
    const statements = all.map(({ statement }) => statement);
    const answers = await this.send({ kind: "batch", statements }, title);
    return answers.map(({ rows }) => [...rows]);
  }

  /** @internal For builders that write their own SQL, and read columns in their own way. */
  async raw(
    text: string,
    values: readonly unknown[],
    options: { readonly arrays?: boolean; readonly parsers?: Parsers | undefined } = {},
  ): Promise<RawResult> {
    const statement = { text, values, prepare: this.prepares, ...options };
    const [answer] = await this.send({ kind: "query", statement }, titleOf(text));
    return answer ?? { rows: [], count: 0, command: "", fields: [] };
  }

  /** @internal A statement and its title. */
  protected prepareQuery(
    api: string,
    query: Sql,
    options: QueryOptions<never> | QueryOptions<unknown> | undefined,
  ): Prepared {
    checkSql(api, query);
    if (options !== undefined) checkQuery(api, options);
    const { text, title, values } = compile(query, this.dialect.placeholder);
    const prepare = this.prepares && (options?.prepare ?? query.template !== undefined);
    return { statement: { text, values, prepare }, title: options?.name ?? title };
  }
}

function checkQuery(api: string, options: QueryOptions<never> | QueryOptions<unknown>): void {
  checkOptions(api, options, QUERY);
  const { name, row, prepare } = options;
  checkText(api, "name", name);
  checkFlag(api, "prepare", prepare);
  // Schemas may be functions (ArkType).
  if (row === undefined || typeof row?.["~standard"]?.validate === "function") return;
  throw argumentError(
    api,
    "`row` to be a schema of Zod, Valibot or ArkType (Standard Schema)",
    row,
  );
}

/** @internal The rows of an answer, checked where there is a schema. */
export async function rowsOf<Row>(
  answer: Answer | undefined,
  title: string,
  schema: RowSchema<Row> | undefined,
): Promise<Row[]> {
  const rows = unchecked<Row>(answer);
  if (schema === undefined) return rows;
  const checked: Row[] = [];
  for (const row of rows) checked.push(await checkRow(row, title, schema));
  return checked;
}

/** The caller says what they are, unless a schema does. */
function unchecked<Row>(answer: Answer | undefined): Row[] {
  return (answer?.rows ?? []) as Row[];
}

async function checkRow<Row>(row: unknown, title: string, schema: RowSchema<Row>): Promise<Row> {
  const checking = schema["~standard"].validate(row);
  const result = checking instanceof Promise ? await checking : checking;
  if (result.issues !== undefined) throw new RowError(title, row, result.issues);
  return result.value;
}
