/**
 * The faucet's pages: plain HTML without scripts, pictures or anything from elsewhere, for every
 * browser, keyboard and screen reader.
 * @module
 */
import { sha256 } from "@noble/hashes/sha2";

/** HTML that is finished: everything in it was escaped. */
export class Html {
  /** The markup. */
  readonly markup: string;

  /** Finished markup. */
  constructor(markup: string) {
    this.markup = markup;
  }
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Markup with values, each of them escaped unless it is finished HTML itself. */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Html)[]): Html {
  const escaped = values.map((value) =>
    value instanceof Html ? value.markup : value.replaceAll(/[&<>"']/g, (c) => ENTITIES[c]!)
  );
  return new Html(String.raw({ raw: parts }, ...escaped));
}

const STYLE = `
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif; }
body { max-width: 36rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
label { display: block; margin-top: 1rem; font-weight: 600; }
input { box-sizing: border-box; width: 100%; font: inherit; padding: 0.5rem; }
button { font: inherit; margin-top: 1rem; padding: 0.5rem 1.25rem; }
:focus-visible { outline: 3px solid; outline-offset: 2px; }
`;
const STYLE_HASH = sha256(new TextEncoder().encode(STYLE)).toBase64();

/** What browsers are told with each page. The address of a page may hold a token. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; ` +
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
};

/** A whole page. */
export function page(title: string, content: Html): string {
  return html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="robots" content="noindex">
        <title>${title} – Lloom faucet</title>
        <style>${new Html(STYLE)}</style>
      </head>
      <body>
        <main>
    <h1>${title}</h1>
    ${content}
        </main>
      </body>
    </html>
  `.markup;
}

/** Where one asks for a token. */
export function requestPage(target: string): string {
  return page(
    "Fill up an account",
    html`
      <p>This faucet fills an account up to ${target}. It sends you a link by mail; the page behind
      it has a button that pays.</p>
      <form method="post" action="/request">
        <label for="email">Your mail address</label>
        <input id="email" name="email" type="email" autocomplete="email" maxlength="254" required>
        <label for="account">Your Ethereum address</label>
        <input id="account" name="ethereum_address" type="text" autocomplete="off" spellcheck="false"
          maxlength="42" pattern="0x[0-9a-fA-F]{40}" aria-describedby="account-form" required>
        <p id="account-form">0x and 40 hexadecimal digits.</p>
        <button type="submit">Send me a link</button>
      </form>
      <p>One link a day for each mail address.</p>
    `,
  );
}

/** Something to be read, and a way on. */
export function messagePage(title: string, message: string): string {
  return page(
    title,
    html`<p>${message}</p>
<p><a href="/">Ask for a link</a></p>`,
  );
}

/** Something that went wrong: told at once by screen readers. */
export function errorPage(message: string): string {
  return page(
    "This did not work",
    html`<p role="alert">${message}</p>
<p><a href="/">Back to the beginning</a></p>`,
  );
}

/** Where one redeems a token. */
export function redeemPage(token: string, recipient: string, target: string): string {
  return page(
    "Fill up this account?",
    html`
      <p>The account ${recipient} will be filled up to ${target}.</p>
      <form method="post" action="/redeem">
        <input type="hidden" name="token" value="${token}">
        <button type="submit">Fill it up</button>
      </form>
    `,
  );
}

/** What became of a token. */
export function payoutPage(title: string, message: string, transaction?: string): string {
  const proof = transaction === undefined ? html`` : html`<p>Transaction: ${transaction}</p>`;
  return page(
    title,
    html`<p role="status">${message}</p>
${proof}`,
  );
}
