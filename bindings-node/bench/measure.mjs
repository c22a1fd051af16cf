// Rows of the table that `make bench` prints, and how two things are measured in one run.

/** `| what | measured | baseline in the same run | ratio or goal |` */
export function row(...cells) {
  console.log(`| ${cells.join(' | ')} |`);
}

/**
 * Seconds of CPU per call of each, in turns, the median of the rounds: what disturbs one disturbs the others, and who else
 * uses the machine counts for little.
 */
export function sideBySide(functions, { rounds = 21, milliseconds = 40 } = {}) {
  const counts = functions.map((run) => calibrate(run, milliseconds));
  const seconds = functions.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [n, run] of functions.entries()) seconds[n].push(timed(run, counts[n]));
  }
  return seconds.map(median);
}

export function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

function timed(run, count) {
  const begun = process.cpuUsage();
  for (let n = 0; n < count; n += 1) run();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1e6 / count;
}

function calibrate(run, milliseconds) {
  timed(run, 2_000);
  return Math.max(100, Math.round(milliseconds / 1e3 / timed(run, 1_000)));
}
