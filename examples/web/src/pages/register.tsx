import { RegisterWithoutPasswordDocument } from "vestibule";
import { Field, Form, text, useSending } from "../form";
import { Heading } from "../heading";
import { Link } from "../route";
import { client } from "../vestibule";

/** Registers without a password. The passkey is created when the user follows the link in the email. */
export function Register() {
  const sending = useSending(["email", "firstName", "lastName"]);
  const onSend = (fields: FormData): void => {
    void sending.send(async () => {
      const { registerWithoutPassword } = await client.request(RegisterWithoutPasswordDocument, {
        input: {
          email: text(fields, "email"),
          firstName: text(fields, "firstName"),
          lastName: text(fields, "lastName"),
        },
      });
      return { errors: registerWithoutPassword?.errors ?? [], note: registerWithoutPassword?.message ?? "" };
    });
  };
  return (
    <>
      <Heading>Create an account</Heading>
      <p>You don’t need a password: we’ll send you an email with a link to create a passkey.</p>
      <Form label="Create an account" submit="Create account" sending={sending} onSend={onSend}>
        <Field name="email" label="Email address" inputMode="email" errors={sending.errors} autoComplete="email" />
        <div className="pair">
          <Field name="firstName" label="First name" errors={sending.errors} autoComplete="given-name" />
          <Field name="lastName" label="Last name" errors={sending.errors} autoComplete="family-name" />
        </div>
      </Form>
      <p>
        <Link to="/">Back to sign-in</Link>
      </p>
    </>
  );
}
