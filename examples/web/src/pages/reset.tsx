import { useState } from "react";
import { ConfirmResetDocument, type SignInChallenge } from "vestibule";
import { Field, Form, text, useSending } from "../form";
import { Heading } from "../heading";
import { go, Link } from "../route";
import { client } from "../vestibule";
import { SecondFactor } from "./second-factor";

/** Target of the link in the email: sets a password, and signs in users who are not staff. */
export function Reset() {
  const sending = useSending(["newPassword"]);
  const [challenge, setChallenge] = useState<SignInChallenge | null>(null);
  const onSend = (fields: FormData): void => {
    const link = new URLSearchParams(location.search);
    void sending.send(async () => {
      const { confirmReset } = await client.request(ConfirmResetDocument, {
        input: {
          uid: link.get("uid") ?? "",
          token: link.get("token") ?? "",
          newPassword: text(fields, "newPassword"),
          login: true,
        },
      });
      if (confirmReset?.tokens) {
        await client.adopt(confirmReset.tokens);
        go("/");
      }
      setChallenge(confirmReset?.challenge ?? null);
      // Staff must sign in with the new password.
      return { errors: confirmReset?.errors ?? [], note: confirmReset?.message ?? "" };
    });
  };
  // The password is set. Without the second factor, the user signs in with it.
  if (challenge !== null) {
    return <SecondFactor challenge={challenge} onSignedIn={() => go("/")} onEnd={() => go("/")} />;
  }
  return (
    <>
      <Heading>Set a new password</Heading>
      <Form label="Set a new password" submit="Set password" sending={sending} onSend={onSend}>
        <Field
          name="newPassword"
          label="New password"
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
