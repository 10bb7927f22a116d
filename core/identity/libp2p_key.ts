/** An identity as libp2p takes it. Apart from `mod.ts`, because libp2p's key types load slowly. @module */
import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import type { PrivateKey } from "@libp2p/interface";
import type { Identity } from "./identity.ts";

/** The private key for `createLibp2p({ privateKey })`. Unlike {@linkcode Identity}, it shows its bytes: do not log it. */
export function libp2pPrivateKey(identity: Identity): PrivateKey {
  return privateKeyFromRaw(identity.exportPrivateKey());
}
