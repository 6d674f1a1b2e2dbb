import { useState } from "react";
import {
  createPasskey,
  hasPasskeys,
  StartPasskeySignUpDocument,
  VerifyEmailDocument,
  type VerifyEmailMutationVariables,
} from "vestibule";
import { Button, Field, Form, text, useSending } from "../form";
import { Heading } from "../heading";
import { go, Link } from "../route";
import { client } from "../vestibule";

/** Input of the confirmation besides the link. */
type Credential = Omit<VerifyEmailMutationVariables["input"], "token">;

/**
 * Target of the link in the email: confirms the address, and creates the account with a passkey or a password. By its
 * cookie, the service knows if this browser registered.
 */
export function Verify() {
  const sending = useSending(["password"]);
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  const token = new URLSearchParams(location.search).get("token") ?? "";
  const verify = async (credential: Credential) => {
    const { verifyEmail } = await client.request(VerifyEmailDocument, { input: { token, ...credential } });
    const errors = verifyEmail?.errors ?? [];
    if (verifyEmail?.tokens) await client.adopt(verifyEmail.tokens);
    if (verifyEmail?.recoveryCodes) setCodes(verifyEmail.recoveryCodes);
    else if (errors.length === 0) go("/");
    return { errors };
  };
  const withPasskey = (): void => {
    void sending.send(async () => {
      const { startPasskeySignUp } = await client.request(StartPasskeySignUpDocument, { input: { token } });
      if (!startPasskeySignUp?.options) return { errors: startPasskeySignUp?.errors ?? [] };
      return verify({ passkey: await createPasskey(startPasskeySignUp.options) });
    });
  };
  const withPassword = (fields: FormData): void => {
    void sending.send(() => verify({ password: text(fields, "password") }));
  };
  if (codes !== null) return <RecoveryCodes codes={codes} />;
  return (
    <>
      <Heading>Confirm your email address</Heading>
      {hasPasskeys() && (
        <p>
          <Button busy={sending.busy} onClick={withPasskey}>
            Create a passkey
          </Button>
        </p>
      )}
      <Form label="Password" submit="Confirm" sending={sending} onSend={withPassword}>
        <Field
          name="password"
          label={hasPasskeys() ? "Or a password" : "Password"}
          type="password"
          errors={sending.errors}
          autoComplete="new-password"
        />
      </Form>
      <p>
        <Link to="/">Back to sign-in</Link>
      </p>
    </>
  );
}

/** The codes, which the service never returns again. */
function RecoveryCodes({ codes }: { codes: readonly string[] }) {
  return (
    <>
      <Heading>Your recovery codes</Heading>
      <p>Print these codes or save them in a safe place. Each works once. They are not shown again.</p>
      <ul className="codes">
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      <Button busy={false} onClick={() => go("/")}>
        Continue
      </Button>
    </>
  );
}
