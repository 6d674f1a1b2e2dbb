// The ceremonies of passkeys (W3C Web Authentication, Level 3) in a browser. Inputs and outputs have the types of the
// schema. The browser's `toJSON()` is not used: its type is `any`, and its extensions are not in the schema.
import type {
  PasskeyAssertionInput,
  PasskeyRegistrationInput,
  StartPasskeyLoginMutation,
  StartPasskeyRegistrationMutation,
} from "../gql/graphql";

/** Options of `startPasskeyRegistration`, or of `startPasskeySignUp`. */
export type PasskeyCreationOptions = NonNullable<
  NonNullable<StartPasskeyRegistrationMutation["startPasskeyRegistration"]>["options"]
>;

/** Options of `startPasskeyLogin`, or `passkeyOptions` of a challenge. */
export type PasskeyRequestOptions = NonNullable<StartPasskeyLoginMutation["startPasskeyLogin"]>["options"];

/** Behaviour of the browser while it asks for a passkey. */
export interface PasskeyPrompt {
  /** `conditional` offers passkeys in a field with `autocomplete="username webauthn"`, without a dialog. */
  mediation?: CredentialMediationRequirement;
  /** Ends the prompt. Browsers allow one at a time, so end a conditional one before a dialog. */
  signal?: AbortSignal;
}

/** True if the browser has passkeys. Pages without HTTPS, except on `localhost`, have none. */
export function hasPasskeys(): boolean {
  return "PublicKeyCredential" in globalThis;
}

/**
 * Asks the user to create a passkey, for `finishPasskeyRegistration` or `verifyEmail`. Throws the `DOMException` of the
 * browser: `NotAllowedError` if the user gives up, `InvalidStateError` if the device has a passkey of this user.
 */
export async function createPasskey(
  options: PasskeyCreationOptions,
  { signal }: Pick<PasskeyPrompt, "signal"> = {},
): Promise<PasskeyRegistrationInput> {
  const publicKey = creationOptions(options);
  const credential = await navigator.credentials.create(signal ? { publicKey, signal } : { publicKey });
  if (!isPublicKey(credential) || !isAttestation(credential.response)) throw noPasskey();
  const { response } = credential;
  return {
    ...namesOf(credential),
    response: {
      clientDataJSON: encode(response.clientDataJSON),
      attestationObject: encode(response.attestationObject),
      transports: "getTransports" in response ? response.getTransports() : [],
    },
  };
}

/**
 * Asks the user for a passkey, for `signInWithPasskey`, or as `passkey` of a proof. Throws the `DOMException` of the
 * browser: `NotAllowedError` if the user gives up, `AbortError` after `signal`.
 */
export async function getPasskey(
  options: PasskeyRequestOptions,
  prompt: PasskeyPrompt = {},
): Promise<PasskeyAssertionInput> {
  const credential = await navigator.credentials.get({ ...prompt, publicKey: requestOptions(options) });
  if (!isPublicKey(credential) || !isAssertion(credential.response)) throw noPasskey();
  const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response;
  return {
    ...namesOf(credential),
    response: {
      clientDataJSON: encode(clientDataJSON),
      authenticatorData: encode(authenticatorData),
      signature: encode(signature),
      userHandle: userHandle === null ? null : encode(userHandle),
    },
  };
}

/** Values of the browser's types. The schema has them as text. */
const REQUIREMENTS = ["required", "preferred", "discouraged"] as const;
const ATTESTATIONS = ["none", "indirect", "direct", "enterprise"] as const;
const TRANSPORTS = ["internal", "hybrid", "usb", "nfc", "ble"] as const;

function creationOptions(options: PasskeyCreationOptions): PublicKeyCredentialCreationOptions {
  const { challenge, user, excludeCredentials, rp, timeout } = options;
  const { residentKey, requireResidentKey, userVerification } = options.authenticatorSelection;
  const shared = {
    rp,
    timeout,
    attestation: known(options.attestation, ATTESTATIONS),
    pubKeyCredParams: options.pubKeyCredParams.map(({ alg }) => ({ type: "public-key" as const, alg })),
    authenticatorSelection: {
      residentKey: known(residentKey, REQUIREMENTS),
      requireResidentKey,
      userVerification: known(userVerification, REQUIREMENTS),
    },
  };
  if ("parseCreationOptionsFromJSON" in PublicKeyCredential) {
    return PublicKeyCredential.parseCreationOptionsFromJSON({ ...shared, challenge, user, excludeCredentials });
  }
  return {
    ...shared,
    challenge: decode(challenge),
    user: { ...user, id: decode(user.id) },
    excludeCredentials: excludeCredentials.map(descriptor),
  };
}

function requestOptions(options: PasskeyRequestOptions): PublicKeyCredentialRequestOptions {
  if ("parseRequestOptionsFromJSON" in PublicKeyCredential) {
    return PublicKeyCredential.parseRequestOptionsFromJSON(options);
  }
  const { challenge, timeout, rpId, allowCredentials, userVerification } = options;
  return {
    challenge: decode(challenge),
    timeout,
    rpId,
    allowCredentials: allowCredentials.map(descriptor),
    userVerification: known(userVerification, REQUIREMENTS),
  };
}

/** A passkey in the browser's type. Unknown transports are omitted, as by browsers. */
function descriptor({ id, transports }: { id: string; transports: string[] }): PublicKeyCredentialDescriptor {
  const accepted = TRANSPORTS.filter((transport) => transports.includes(transport));
  return { type: "public-key", id: decode(id), transports: accepted };
}

function known<T extends string>(text: string, values: readonly T[]): T {
  const value = values.find((candidate) => candidate === text);
  if (value === undefined) throw new TypeError(`Unknown option of a passkey: ${text}. Update this client.`);
  return value;
}

function namesOf({ id, rawId, type }: PublicKeyCredential): { id: string; rawId: string; type: string } {
  return { id, rawId: encode(rawId), type };
}

function isPublicKey(credential: Credential | null): credential is PublicKeyCredential {
  return credential !== null && credential.type === "public-key";
}

function isAttestation(response: AuthenticatorResponse): response is AuthenticatorAttestationResponse {
  return "attestationObject" in response;
}

function isAssertion(response: AuthenticatorResponse): response is AuthenticatorAssertionResponse {
  return "signature" in response;
}

function noPasskey(): Error {
  return new Error("The browser returned no passkey.");
}

/** Bytes in base64url without padding, as in the inputs of the service. */
function encode(bytes: ArrayBuffer): string {
  const binary = Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The bytes of base64url. */
function decode(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
