/** Time spans in words. @module */

/** A time span in its largest unit. */
export function inWords(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const units = [["days", 86_400], ["hours", 3_600], ["minutes", 60]] as const;
  for (const [unit, length] of units) {
    if (seconds >= 2 * length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${seconds} seconds`;
}
