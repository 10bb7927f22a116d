/** What processes use, as Linux tells it in `/proc`; undefined on other systems. @module */

/** Clock ticks per second in `/proc`: 100 on every Linux that Deno runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time that a process has used, all of its threads together, in milliseconds. */
export function cpuMs(pid: number): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th after it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * (1000 / TICKS_PER_SECOND);
}

/** Memory of a process, in megabytes (10^6 bytes). */
export interface Memory {
  /** All that is in memory now. */
  readonly residentMb: number;
  /** Its own part: without the pages of Deno's program file, which all processes share. */
  readonly privateMb: number;
}

/** What a process holds in memory. */
export function memory(pid: number): Memory | undefined {
  if (Deno.build.os !== "linux") return undefined;
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const megabytes = (field: string): number => {
    const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
    return Math.round(Number(kilobytes) * 1024 / 1e6);
  };
  return { residentMb: megabytes("VmRSS"), privateMb: megabytes("RssAnon") };
}
