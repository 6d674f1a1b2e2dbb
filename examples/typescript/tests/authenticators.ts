import { createHash, createHmac, createSign, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";

/** An authenticator app (RFC 6238). Each code is for a later step than the last one, as the service accepts it once. */
export class AuthenticatorApp {
  readonly #key: Buffer;
  #step = 0;

  /** An app with a secret in base32. */
  constructor(secret: string) {
    const letters = secret.match(/[A-Z2-7]/g) ?? [];
    const bits = letters.map((letter) => BASE32.indexOf(letter).toString(2).padStart(5, "0")).join("");
    this.#key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  }

  /** The next code. The service accepts two at once: that of this step, and that of the next. */
  code(): string {
    this.#step = Math.max(this.#step + 1, Math.floor(Date.now() / 30_000));
    const message = Buffer.alloc(8);
    message.writeBigUInt64BE(BigInt(this.#step));
    const mac = createHmac("sha1", this.#key).update(message).digest();
    const offset = mac.readUInt8(mac.length - 1) & 15;
    return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
  }
}

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** A `navigator.credentials` with one passkey, which is created and used without asking. */
export class Authenticator {
  /** The mediation of the last `get`. */
  mediation: string | undefined;
  readonly #origin: string;
  readonly #id = randomBytes(32);
  #user: Buffer = Buffer.alloc(0);
  #key: KeyObject | null = null;

  /** An authenticator for pages of this origin. */
  constructor(origin: string) {
    this.#origin = origin;
  }

  create({ publicKey }: { publicKey: PublicKeyCredentialCreationOptions }): Promise<object> {
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#key = pair.privateKey;
    this.#user = bufferOf(publicKey.user.id);
    const { x = "", y = "" } = pair.publicKey.export({ format: "jwk" });
    // A COSE key (RFC 9053): type EC2, algorithm ES256, curve P-256, x, y.
    const point = [Buffer.from("a5010203262001215820", "hex"), Buffer.from(x, "base64url"), Buffer.from("225820", "hex")];
    const cose = Buffer.concat([...point, Buffer.from(y, "base64url")]);
    const length = Buffer.from([0, this.#id.length]);
    // User present, user verified, and the data of a new credential.
    const data = dataOf(publicKey.rp.id, 0x45, Buffer.concat([Buffer.alloc(16), length, this.#id, cose]));
    // A map in CBOR: `fmt` is `none`, `attStmt` is empty, `authData` has up to 255 bytes.
    const start = Buffer.from("a363666d74646e6f6e656761747453746d74a068617574684461746158", "hex");
    return Promise.resolve(
      this.#credential({
        clientDataJSON: arrayOf(this.#client("webauthn.create", publicKey.challenge)),
        attestationObject: arrayOf(Buffer.concat([start, Buffer.from([data.length]), data])),
        getTransports: () => ["internal"],
      }),
    );
  }

  get({ publicKey, mediation }: { publicKey: PublicKeyCredentialRequestOptions; mediation?: string }): Promise<object> {
    this.mediation = mediation;
    if (this.#key === null) return Promise.reject(new DOMException("There is no passkey.", "NotAllowedError"));
    const client = this.#client("webauthn.get", publicKey.challenge);
    const data = dataOf(publicKey.rpId, 0x05);
    const signed = createSign("sha256").update(data).update(createHash("sha256").update(client).digest());
    return Promise.resolve(
      this.#credential({
        clientDataJSON: arrayOf(client),
        authenticatorData: arrayOf(data),
        signature: arrayOf(signed.sign(this.#key)),
        userHandle: arrayOf(this.#user),
      }),
    );
  }

  #credential(response: object): object {
    return {
      type: "public-key",
      id: this.#id.toString("base64url"),
      rawId: arrayOf(this.#id),
      response,
      // Extensions that the input of the service does not have.
      getClientExtensionResults: () => ({ credProps: { rk: true }, prf: { enabled: true } }),
    };
  }

  #client(type: string, challenge: BufferSource): Buffer {
    const content = { type, challenge: bufferOf(challenge).toString("base64url"), origin: this.#origin, crossOrigin: false };
    return Buffer.from(JSON.stringify(content));
  }
}

/** Data of the authenticator: hash of the domain, flags, a counter that is not used, and a new credential. */
function dataOf(domain = "", flags: number, credential = Buffer.alloc(0)): Buffer {
  const hash = createHash("sha256").update(domain).digest();
  return Buffer.concat([hash, Buffer.from([flags, 0, 0, 0, 0]), credential]);
}

function bufferOf(source: BufferSource): Buffer {
  return source instanceof ArrayBuffer ? Buffer.from(source) : Buffer.from(source.buffer, source.byteOffset, source.byteLength);
}

function arrayOf(buffer: Buffer): ArrayBuffer {
  return Uint8Array.from(buffer).buffer;
}
