// An authenticator that makes right and bent answers.

import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

const text = (bytes) => Buffer.from(bytes).toString("base64url");
const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

/** The head of an item in CBOR (RFC 8949, section 3). */
function head(kind, length) {
  if (length < 24) return Buffer.from([(kind << 5) | length]);
  if (length < 256) return Buffer.from([(kind << 5) | 24, length]);
  return Buffer.from([(kind << 5) | 25, length >> 8, length & 255]);
}
const number = (value) => (value < 0 ? head(1, -1 - value) : head(0, value));
const bytes = (value) => Buffer.concat([head(2, value.length), value]);
const string = (value) => Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
const map = (pairs) => Buffer.concat([head(5, pairs.length), ...pairs.flat()]);

/** Kinds of keys: how to make one, its form in COSE, and how it signs. */
const KINDS = [
  {
    make: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    cose: ({ x, y }) => map([[number(1), number(2)], [number(3), number(-7)], [number(-1), number(1)], [number(-2), bytes(Buffer.from(x, "base64url"))], [number(-3), bytes(Buffer.from(y, "base64url"))]]),
    digest: "sha256",
  },
  {
    make: () => generateKeyPairSync("ed25519"),
    cose: ({ x }) => map([[number(1), number(1)], [number(3), number(-8)], [number(-1), number(6)], [number(-2), bytes(Buffer.from(x, "base64url"))]]),
    digest: null,
  },
  {
    make: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
    cose: ({ n, e }) => map([[number(1), number(3)], [number(3), number(-257)], [number(-1), bytes(Buffer.from(n, "base64url"))], [number(-2), bytes(Buffer.from(e, "base64url"))]]),
    digest: "sha256",
  },
];

/** Ways to bend an answer before it is signed. */
export const BENDS = {
  none: () => undefined,
  origin: (parts) => (parts.client.origin = "https://evil.example"),
  subdomain: (parts) => (parts.client.origin = parts.client.origin.replace("localhost", "app.localhost")),
  challenge: (parts) => (parts.client.challenge = text(randomBytes(32))),
  type: (parts) => (parts.client.type = parts.client.type === "webauthn.get" ? "webauthn.create" : "webauthn.get"),
  domain: (parts) => (parts.domain = "evil.example"),
  absent: (parts) => (parts.flags &= ~1),
  unverified: (parts) => (parts.flags &= ~4),
  copied: (parts) => (parts.flags = (parts.flags & ~8) | 16),
  trailing: (parts) => (parts.extra = Buffer.from([0])),
};

/** Ways to bend a signed assertion. */
export const FORGERIES = {
  none: () => undefined,
  signature: (response, at) => flip(response, "signature", at),
  data: (response, at) => flip(response, "authenticatorData", at),
  client: (response, at) => flip(response, "clientDataJSON", at),
  empty: (response) => (response.signature = ""),
};

function flip(response, field, at) {
  const changed = Buffer.from(response[field], "base64url");
  const bit = Math.floor(at * changed.length * 8);
  changed[bit >> 3] ^= 1 << (bit & 7);
  response[field] = text(changed);
}

/** An authenticator with one credential, bound to its device; it counts from 1. */
export class Authenticator {
  constructor(kind) {
    const { make, cose, digest } = KINDS[kind % KINDS.length];
    const { publicKey, privateKey } = make();
    this.digest = digest;
    this.privateKey = privateKey;
    this.publicKey = cose(publicKey.export({ format: "jwk" }));
    this.id = randomBytes(32);
    this.counter = 1;
  }

  /** Answers the options of a registration. */
  create(options, origin, bend) {
    this.handle = options.user.id;
    const parts = this.#parts("webauthn.create", options.challenge, options.rp.id, origin, 0x45, bend);
    const credential = Buffer.concat([Buffer.alloc(16), Buffer.from([0, this.id.length]), this.id, this.publicKey]);
    const data = this.#data(parts, credential);
    const attestation = map([[string("fmt"), string("none")], [string("attStmt"), map([])], [string("authData"), bytes(data)]]);
    return this.#credential({ clientDataJSON: text(parts.json()), attestationObject: text(attestation), transports: ["internal"] });
  }

  /** Answers the options of an assertion. */
  get(options, origin, bend) {
    const parts = this.#parts("webauthn.get", options.challenge, options.rpId, origin, 0x05, bend);
    const data = this.#data(parts, Buffer.alloc(0));
    const json = parts.json();
    const signature = sign(this.digest, Buffer.concat([data, sha256(json)]), this.privateKey);
    return this.#credential({ clientDataJSON: text(json), authenticatorData: text(data), signature: text(signature), userHandle: this.handle });
  }

  #parts(type, challenge, domain, origin, flags, bend) {
    const client = { type, challenge, origin, crossOrigin: false };
    const parts = { client, domain, flags, extra: Buffer.alloc(0), json: () => Buffer.from(JSON.stringify(client)) };
    bend(parts);
    return parts;
  }

  #data({ domain, flags, extra }, credential) {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(this.counter);
    return Buffer.concat([sha256(Buffer.from(domain)), Buffer.from([flags]), counter, credential, extra]);
  }

  #credential(response) {
    const id = text(this.id);
    return { id, rawId: id, type: "public-key", authenticatorAttachment: "platform", clientExtensionResults: {}, response };
  }
}
