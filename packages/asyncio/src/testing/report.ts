/** The report of a schedule that fails. */

import { isA } from "../errors/render.ts";
import { ScheduleError, UncontrolledError, UnhandledError } from "./errors.ts";
import { bodyHashOf, formatSchedule } from "./schedule.ts";
import { shrink } from "./shrink.ts";
import { Scripted } from "./strategies.ts";
import { TraceLog } from "./trace.ts";
import { Trial } from "./trial.ts";
import type { TrialSettings } from "./trial-settings.ts";

/** Who found a failure. */
export interface Found {
  readonly strategy: string;
  /** Which schedule it was, from 1 on. */
  readonly schedule: number;
}

/**
 * What to throw for a trial that has failed: a report of its schedule, made as small as it can be.
 */
export async function failureOf<S>(
  settings: TrialSettings<S>,
  trial: Trial<S>,
  found: Found,
): Promise<unknown> {
  const error = trial.failure?.error;
  // Not the schedule's doing: what happened outside cannot be run again.
  if (error instanceof UncontrolledError || trial.isBarkedAt) return error;
  const log = new TraceLog();
  const script = new Scripted(await shrink(settings, trial));
  const again = new Trial(settings, script, {
    mode: trial.mode,
    log,
    givesTurn: trial.isRejected,
  });
  await again.run();
  return reportOf(settings, again, log, found);
}

/** The error of a trial that has failed and was logged. */
export function reportOf<S>(
  settings: TrialSettings<S>,
  trial: Trial<S>,
  log: TraceLog,
  found: Found,
  misfit?: string,
): ScheduleError {
  const { failure, decider } = trial;
  const replay = formatSchedule({
    mode: trial.mode,
    bodyHash: bodyHashOf(settings.source),
    deviations: decider.deviations,
  });
  const places = decider.deviations.length;
  const table = log.format();
  const error = failure?.error;
  const lines = [
    failure === undefined
      ? "the test failed, and did not when its schedule was run again: something that the schedule does not decide is at work"
      : messageOf(error),
    "",
    places === 0
      ? "it fails in the order first in, first out, too: no schedule was needed to see it"
      : `schedule ${found.schedule}, drawn by ${found.strategy}, differs from FIFO in ${places === 1 ? "1 place" : `${places} places`}`,
    `replay: ASYNCIO_REPLAY=${replay}`,
  ];
  if (misfit !== undefined) lines.push(`the code has changed since it was recorded: ${misfit}`);
  for (const race of trial.races.found) if (!messageOf(error).includes(race)) lines.push("", race);
  lines.push("", table);
  const details = { replay, deviations: places, table, ...found };
  return new ScheduleError(details, lines.join("\n"), error);
}

/** Class and message; of a group also what is in it. */
function messageOf(error: unknown): string {
  if (!isA(error, Error)) return `thrown: ${String(error)}`;
  const text = `${error.name}: ${error.message.trimEnd()}`;
  if (!isA(error, AggregateError) || error instanceof UnhandledError) return text;
  const inner = error.errors.map((each) => messageOf(each).replaceAll("\n", "\n  "));
  return [text, ...inner].join("\n  ");
}
