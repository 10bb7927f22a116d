/** Why a file cannot be used, in words for its user. @module */

/**
 * What to say of an error of the disk. Deno denies a role everything outside its data directory and
 * the files that it was installed with.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return "not permitted: a role uses its data directory alone; " +
      "`deno task install-role` installs it with another --data-dir, or further --config files";
  }
  return error instanceof Error ? error.name : "unusable";
}
