/** Mail addresses from strangers. @module */

/** A mail address that may be written to. */
export interface MailAddress {
  /** As it was given, with the domain in lower case. */
  readonly address: string;
  /** The same for all spellings that reach the same person: for counting, not for writing to. */
  readonly person: string;
}

const MAX_ADDRESS = 254;
const MAX_LOCAL_PART = 64;
/** RFC 5322's dot-atom: no quotes, no comments, no display name, no line break. */
const LOCAL_PART = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/i;
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$/;

/** Providers that ignore dots, by all their domains, each with its main one. */
const DOTLESS: ReadonlyMap<string, string> = new Map([
  ["gmail.com", "gmail.com"],
  ["googlemail.com", "gmail.com"],
]);

/** A plain `name@example.org`, perhaps between spaces; undefined if the text is anything else. */
export function parseMailAddress(text: string): MailAddress | undefined {
  if (text.length > 2 * MAX_ADDRESS) return undefined;
  const trimmed = text.replaceAll(/^ +| +$/g, "");
  const at = trimmed.lastIndexOf("@");
  const local = trimmed.slice(0, Math.max(at, 0));
  const domain = trimmed.slice(at + 1).toLowerCase();
  if (trimmed.length > MAX_ADDRESS || local.length > MAX_LOCAL_PART) return undefined;
  if (!LOCAL_PART.test(local) || !DOMAIN.test(domain)) return undefined;
  const [mailbox = ""] = local.toLowerCase().split("+");
  const main = DOTLESS.get(domain);
  const person = main === undefined
    ? `${mailbox}@${domain}`
    : `${mailbox.replaceAll(".", "")}@${main}`;
  return { address: `${local}@${domain}`, person };
}
