/** What Linux tells of processes. @module */

/** The processes that a process started, and that these started. */
export async function descendants(pid: number): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await Deno.readTextFile(`/proc/${name}/stat`).catch(nothing);
    // The name, in parentheses, may hold anything.
    if (Number(stat.slice(stat.lastIndexOf(")")).split(" ")[2]) === pid) found.push(Number(name));
  }
  return [...found, ...(await Promise.all(found.map(descendants))).flat()];
}

/** The IPv4 addresses that a process listens on; `::…` for IPv6. */
export async function listeners(pid: number): Promise<string[]> {
  const inodes = new Set<string>();
  for await (const { name } of Deno.readDir(`/proc/${pid}/fd`)) {
    const link = await Deno.readLink(`/proc/${pid}/fd/${name}`).catch(nothing);
    const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const found: string[] = [];
  for (const table of ["tcp", "tcp6", "udp", "udp6"]) {
    const rows = (await Deno.readTextFile(`/proc/net/${table}`)).trim().split("\n").slice(1);
    for (const row of rows) {
      const [, local = "", , state, , , , , , inode = ""] = row.trim().split(/\s+/);
      const listens = table.startsWith("udp") || state === "0A";
      if (listens && inodes.has(inode)) found.push(addressOf(local));
    }
  }
  return found;
}

/** Resolves once a process is gone, or only its parent has yet to notice. */
export async function awaitExit(pid: number): Promise<void> {
  while (await isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function isRunning(pid: number): Promise<boolean> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(nothing);
  return stat !== "" && stat.slice(stat.lastIndexOf(")")).split(" ")[1] !== "Z";
}

/** The kernel writes an IPv4 address as one little-endian number. */
function addressOf(local: string): string {
  const hex = local.split(":")[0]!;
  if (hex.length !== 8) return `::${hex}`;
  return hex.match(/../g)!.map((byte) => parseInt(byte, 16)).reverse().join(".");
}

/** A process may end while it is looked at. */
function nothing(error: unknown): string {
  if (error instanceof Deno.errors.NotFound || isGone(error)) return "";
  throw error;
}

function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ESRCH";
}
