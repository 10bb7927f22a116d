/** A last guard against secrets in the log. @module */

const RULES: readonly (readonly [RegExp, string])[] = [
  // A private key and a 32-byte hash look alike: code that logs a hash shortens it.
  [/\b(?:0x)?[0-9a-fA-F]{64}\b/g, "[64 hex digits]"],
  [/\bsk-[A-Za-z0-9_-]{8,}/g, "[api key]"],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, "$1 [token]"],
];

/**
 * A line with everything that looks like a private key, an API key or an authorization header
 * replaced. No code should log one; this is for the day when one does.
 */
export function redact(line: string): string {
  let out = line;
  for (const [form, instead] of RULES) out = out.replace(form, instead);
  return out;
}
