/** Text that must fit a limit of bytes. @module */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The longest prefix of whole characters that fits `maxBytes` of UTF-8. */
export function truncateUtf8(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) return text;
  const buffer = new Uint8Array(maxBytes);
  const { written } = encoder.encodeInto(text, buffer);
  return decoder.decode(buffer.subarray(0, written));
}
