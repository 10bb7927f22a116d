import assert from "node:assert/strict";
import { generateKeyPair, privateKeyFromRaw } from "@libp2p/crypto/keys";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import fc from "fast-check";
import { privateKeyToAccount } from "viem/accounts";
import { toHex } from "../bytes.ts";
import { LloomError } from "../errors.ts";
import { generateIdentity, Identity, parsePrivateKey, toChecksumAddress } from "./identity.ts";
import { addressOfPeerId } from "./peer_id.ts";

const HEX = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
const ORDER_HEX = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
const invalid = { name: "LloomError", code: "identity_invalid" };

Deno.test("peer id and address are those of libp2p and viem", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const key = bytes.fill(1, 0, 1); // below the order, and not zero
      const identity = new Identity(key);
      const account = privateKeyToAccount(toHex(key));
      assert.equal(identity.peerId, peerIdFromPrivateKey(privateKeyFromRaw(key)).toString());
      assert.equal(toChecksumAddress(identity.address), account.address);
      assert.equal(identity.address, account.address.toLowerCase());
      assert.equal(addressOfPeerId(identity.peerId), identity.address);
    }),
    { numRuns: 40 },
  );
});

Deno.test("private keys are read with and without 0x, in either case", () => {
  const address = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23"; // web3.js documentation
  for (const text of [HEX, `0x${HEX}`, HEX.toUpperCase(), `0x${HEX.toUpperCase()}`]) {
    assert.equal(new Identity(parsePrivateKey(text)).address, address);
  }
});

Deno.test("text that is not a key is refused, and never quoted", () => {
  const bad = [
    "",
    HEX.slice(1),
    HEX + "0",
    `0x0x${HEX}`,
    ` ${HEX}`,
    `${HEX}\n`,
    HEX.replace("4", "g"),
    "0".repeat(64),
    ORDER_HEX,
    "f".repeat(64),
  ];
  for (const text of bad) {
    assert.throws(() => parsePrivateKey(text), (error) => {
      assert.ok(error instanceof LloomError);
      assert.equal(error.code, "identity_invalid");
      if (text !== "") assert.ok(!Deno.inspect(error).includes(text.trim().slice(2, 40)));
      return true;
    });
  }
  assert.throws(() => new Identity(new Uint8Array(31).fill(1)), invalid);
  assert.throws(() => new Identity(new Uint8Array(32)), invalid);
});

Deno.test("an identity shows its key neither in JSON nor when inspected, cloned or listed", () => {
  const key = parsePrivateKey(HEX);
  const identity = new Identity(key);
  const shown = [
    JSON.stringify(identity),
    JSON.stringify({ nested: [identity] }),
    Deno.inspect(identity, { showHidden: true, depth: 9 }),
    Deno.inspect(new Error("failed", { cause: identity })),
    Deno.inspect(structuredClone(identity)),
    String(identity),
    Object.values(identity).join(),
    Reflect.ownKeys(identity).map(String).join(),
  ];
  for (const text of shown) {
    assert.ok(!text.includes(HEX.slice(0, 8)), text);
    assert.ok(!text.includes(key.slice(0, 4).join(",")), text);
    assert.ok(!text.includes(key.slice(0, 4).join(", ")), text);
  }
});

Deno.test("an identity keeps its key when the caller wipes or changes the arrays", () => {
  const key = parsePrivateKey(HEX);
  const identity = new Identity(key);
  key.fill(0);
  identity.exportPrivateKey().fill(0);
  assert.equal(toHex(identity.exportPrivateKey()), `0x${HEX}`);
});

Deno.test("generated identities differ", () => {
  assert.notEqual(generateIdentity().address, generateIdentity().address);
});

Deno.test("checksum addresses are those of EIP-55", () => {
  const examples = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0x52908400098527886E0F7030069857D2E4169EE7",
  ];
  for (const text of examples) {
    assert.equal(toChecksumAddress(text.toLowerCase() as `0x${string}`), text);
  }
});

Deno.test("peer ids that hold no secp256k1 key are refused with a code", async () => {
  const ed25519 = peerIdFromPrivateKey(await generateKeyPair("Ed25519")).toString();
  const rsa = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
  const { peerId } = generateIdentity();
  const bad = [
    ed25519,
    rsa,
    "",
    "1",
    `${peerId}1`,
    peerId.slice(1),
    "0".repeat(53),
    "z".repeat(1e6),
  ];
  bad.push(peerId.replace("16Uiu2HA", "16Uiu2HB"), "1".repeat(53), "z".repeat(53));
  for (const text of bad) assert.throws(() => addressOfPeerId(text), invalid, text.slice(0, 60));
});

Deno.test("any text as a peer id gives an address or a coded error", () => {
  const { peerId } = generateIdentity();
  const digit = fc.constantFrom(
    ..."123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl",
  );
  const changed = fc.tuple(fc.nat(52), digit)
    .map(([at, to]) => peerId.slice(0, at) + to + peerId.slice(at + 1));
  fc.assert(
    fc.property(fc.oneof(fc.string(), changed), (text) => {
      try {
        assert.match(addressOfPeerId(text), /^0x[0-9a-f]{40}$/);
      } catch (error) {
        assert.ok(error instanceof LloomError && error.code === "identity_invalid");
      }
    }),
  );
});
