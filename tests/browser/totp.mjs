// An authenticator app, for the tests of sign-in pages.

import { createHmac } from "node:crypto";

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The code of an authenticator app (RFC 6238) for a secret in base32, a number of steps from now. */
export function codeOf(secret, later = 0) {
  const letters = [...secret.replaceAll(" ", "")];
  const bits = letters.map((letter) => BASE32.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + later));
  const mac = createHmac("sha1", key).update(step).digest();
  const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

/** Adds an app to an account, and returns its secret and the recovery codes. The code of this step is used up. */
export async function addApp(url, { identifier, password }) {
  const login = "mutation ($input: LoginInput!) { login(input: $input) { tokens { accessToken } } }";
  const first = await post(url, login, { identifier, password });
  const token = first.login.tokens.accessToken;
  const start = "mutation { startTotpEnrollment { enrollment { token secret } } }";
  const { enrollment } = (await post(url, start, undefined, token)).startTotpEnrollment;
  const confirm =
    "mutation ($input: ConfirmTotpEnrollmentInput!) { confirmTotpEnrollment(input: $input) { recoveryCodes } }";
  const input = { enrollmentToken: enrollment.token, totpCode: codeOf(enrollment.secret) };
  const { recoveryCodes } = (await post(url, confirm, input, token)).confirmTotpEnrollment;
  return { secret: enrollment.secret, recoveryCodes };
}

async function post(url, query, input, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables: { input } }) });
  return (await response.json()).data;
}
