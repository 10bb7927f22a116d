/**
 * What the page says of money and of failures.
 * @module
 */

/** A decimal number as text, such as a price: its digits, and how many of them are behind the point. */
function parseDecimal(text) {
  const [whole, fraction = ""] = text.split(".");
  return { digits: BigInt(whole + fraction), scale: fraction.length };
}

function formatDecimal(digits, scale) {
  const text = digits.toString().padStart(scale + 1, "0");
  const whole = text.slice(0, text.length - scale);
  const fraction = text.slice(text.length - scale).replace(/0+$/, "");
  return fraction === "" ? whole : `${whole}.${fraction}`;
}

/**
 * What so many tokens cost, exactly: money is never a floating-point number.
 * @param {{ prompt: string, completion: string }} pricing decimal text, each for one token
 * @param {number} promptTokens
 * @param {number} completionTokens
 * @returns {string} decimal text
 */
export function costOf(pricing, promptTokens, completionTokens) {
  const prompt = parseDecimal(pricing.prompt);
  const completion = parseDecimal(pricing.completion);
  const scale = Math.max(prompt.scale, completion.scale);
  const sum = prompt.digits * BigInt(promptTokens) * 10n ** BigInt(scale - prompt.scale) +
    completion.digits * BigInt(completionTokens) * 10n ** BigInt(scale - completion.scale);
  return formatDecimal(sum, scale);
}

/**
 * Whether nothing is paid.
 * @param {{ prompt: string, completion: string }} pricing
 * @returns {boolean}
 */
export function isFree(pricing) {
  return costOf(pricing, 1, 1) === "0";
}

/**
 * A model's prices for a million tokens, in and out, for a list to compare them in.
 * @param {{ prompt: string, completion: string, currency?: string }} pricing
 * @returns {string}
 */
export function priceFigures(pricing) {
  if (isFree(pricing)) return "free";
  const million = 1_000_000;
  const figures = `${costOf(pricing, million, 0)} / ${costOf(pricing, 0, million)}`;
  return `${figures} ${pricing.currency ?? ""}`.trimEnd();
}

/**
 * A model's price in words.
 * @param {{ prompt: string, completion: string, currency?: string }} pricing
 * @returns {string}
 */
export function priceWords(pricing) {
  if (isFree(pricing)) return "free";
  const asset = pricing.currency === undefined ? "" : ` ${pricing.currency}`;
  const million = 1_000_000;
  return `${costOf(pricing, million, 0)}${asset} in, ` +
    `${costOf(pricing, 0, million)}${asset} out, for a million tokens`;
}

/**
 * A PeerId short enough for a line: its end tells peers apart, its beginning does not.
 * @param {string} peerId
 * @returns {string}
 */
export function shortPeer(peerId) {
  return peerId.length <= 12 ? peerId : `…${peerId.slice(-8)}`;
}

const BY_STATUS = {
  400: "The gateway cannot take this request.",
  401: "This gateway asks for a key that it knows: reload this page to enter one.",
  402: "This request is not paid for: there is too little money, or it costs more than you allow.",
  403: "The gateway does not serve this page's address.",
  404: "Nobody on the network offers this model now.",
  413: "This conversation is too long for the gateway.",
  429: "Everybody who serves this model is busy. Try again in a moment.",
  502: "The executor failed, and nobody else could answer instead.",
  503: "Nobody can take this request now. Try again in a moment.",
  504: "The answer took too long.",
};

/** A request that failed, as the gateway tells it. */
export class GatewayError extends Error {
  /**
   * @param {string} message the gateway's own
   * @param {{ status?: number, code?: string }} [known] status 0: the gateway was not reached;
   * absent: the answer had begun
   */
  constructor(message, { status, code } = {}) {
    super(message);
    this.name = "GatewayError";
    this.status = status;
    this.code = code;
  }
}

/**
 * What happened, in a sentence, followed by what the gateway says of it.
 * @param {unknown} error
 * @returns {string}
 */
export function problemWords(error) {
  if (!(error instanceof GatewayError)) return `This page failed. (${String(error)})`;
  if (error.status === 0) return "The gateway cannot be reached. Is it still running?";
  const words = error.status === undefined
    ? "The answer broke off."
    : BY_STATUS[error.status] ?? "The gateway failed.";
  return error.message === "" ? words : `${words} (${error.message})`;
}
