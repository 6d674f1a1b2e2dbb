import { type ChangeEvent, useId, useRef } from "react";
import { type MeQuery, RemoveAvatarDocument, UpdateMeDocument, UploadAvatarDocument } from "vestibule";
import { Avatar } from "../avatar";
import { Button, Field, Form, Notices, text, useSending } from "../form";
import { Heading } from "../heading";
import { client } from "../vestibule";

type Me = NonNullable<MeQuery["me"]>;

/** The user's own details and avatar. */
export function Profile({ user, onChange }: { user: Me; onChange: (user: Me) => void }) {
  const sending = useSending(["firstName", "lastName", "phone", "address", "bio"]);
  const onSend = (fields: FormData): void => {
    void sending.send(async () => {
      const { updateMe } = await client.request(UpdateMeDocument, {
        input: {
          firstName: text(fields, "firstName"),
          lastName: text(fields, "lastName"),
          phone: text(fields, "phone"),
          address: text(fields, "address"),
          bio: text(fields, "bio"),
        },
      });
      if (updateMe?.user) onChange(updateMe.user);
      return { errors: updateMe?.errors ?? [], note: "Saved." };
    });
  };
  return (
    <>
      <Heading>{user.name}</Heading>
      <Picture user={user} onChange={onChange} />
      <Form label="Your details" submit="Save" sending={sending} onSend={onSend}>
        <div className="pair">
          <Field name="firstName" label="First name" value={user.firstName} errors={sending.errors} autoComplete="given-name" />
          <Field name="lastName" label="Last name" value={user.lastName} errors={sending.errors} autoComplete="family-name" />
        </div>
        <Field name="phone" label="Phone" type="tel" value={user.phone} errors={sending.errors} autoComplete="tel" />
        <Field name="address" label="Address" value={user.address} errors={sending.errors} lines={3} autoComplete="street-address" />
        <Field name="bio" label="About you" value={user.bio} errors={sending.errors} lines={4} />
      </Form>
      <Everywhere />
    </>
  );
}

function Picture({ user, onChange }: { user: Me; onChange: (user: Me) => void }) {
  const sending = useSending();
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const upload = (event: ChangeEvent<HTMLInputElement>): void => {
    const file = event.target.files?.[0];
    event.target.value = "";
    if (!file || sending.busy) return;
    void sending.send(async () => {
      const { uploadAvatar } = await client.request(UploadAvatarDocument, { input: { file } });
      if (uploadAvatar?.user) onChange({ ...user, avatarUrl: uploadAvatar.user.avatarUrl });
      return { errors: uploadAvatar?.errors ?? [], note: "Your picture has been updated." };
    });
  };
  const remove = (): void => {
    void sending.send(async () => {
      const { removeAvatar } = await client.request(RemoveAvatarDocument);
      if (removeAvatar?.user) {
        onChange({ ...user, avatarUrl: null });
        // The button with the focus disappears.
        input.current?.focus();
      }
      return { errors: removeAvatar?.errors ?? [], note: "Your picture has been removed." };
    });
  };
  return (
    <section className="picture" aria-label="Your picture">
      <Avatar name={user.name} url={user.avatarUrl} size={96} />
      <div>
        <label htmlFor={id} className="button">
          {user.avatarUrl === null ? "Choose a picture" : "Choose another picture"}
        </label>
        <input ref={input} id={id} type="file" accept="image/*" className="hidden" onChange={upload} />
        {user.avatarUrl !== null && (
          <Button quiet busy={sending.busy} onClick={remove}>
            Remove the picture
          </Button>
        )}
        <Notices sending={sending} />
      </div>
    </section>
  );
}

function Everywhere() {
  const sending = useSending();
  const end = (): void => {
    void sending.send(async () => {
      await client.signOut({ everywhere: true });
      return { errors: [] };
    });
  };
  return (
    <section>
      <h2>Other devices</h2>
      <p>Lost a phone, or signed in on somebody else’s computer?</p>
      <Notices sending={sending} />
      <Button quiet busy={sending.busy} onClick={end}>
        Sign out everywhere
      </Button>
    </section>
  );
}
