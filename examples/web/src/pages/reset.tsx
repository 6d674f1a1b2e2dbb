import { ConfirmResetDocument } from "vestibule";
import { Field, Form, text, useSending } from "../form";
import { Heading } from "../heading";
import { go, Link } from "../route";
import { client } from "../vestibule";

/** Target of the link in the email: sets a password, and signs in users who are not staff. */
export function Reset() {
  const sending = useSending(["newPassword"]);
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
      // Staff must sign in with the new password.
      return { errors: confirmReset?.errors ?? [], note: confirmReset?.message ?? "" };
    });
  };
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
