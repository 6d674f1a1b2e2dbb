import { type ReactNode, type RefObject, type SubmitEvent, useEffect, useId, useRef, useState } from "react";
import type { UserErrorCode } from "vestibule";
import { explain } from "./vestibule";

/** An error that the user can fix, as in every payload. */
export interface Mendable {
  code: UserErrorCode;
  field: string | null;
  message: string;
}

/** The state of a form: errors, success message, and progress. */
export interface Sending {
  errors: readonly Mendable[];
  note: string | null;
  busy: boolean;
  /** Submits the form. `send` returns the payload's errors, or a message without errors. */
  send: (send: () => Promise<{ errors: readonly Mendable[]; note?: string }>) => Promise<void>;
}

/** The state of a form with these fields. Errors of other fields are shown above its button. */
export function useSending(fields: readonly string[] = []): Sending {
  const [errors, setErrors] = useState<readonly Mendable[]>([]);
  const [note, setNote] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  async function send(work: () => Promise<{ errors: readonly Mendable[]; note?: string }>): Promise<void> {
    setBusy(true);
    setNote(null);
    try {
      const outcome = await work();
      setErrors(
        outcome.errors.map((error) =>
          error.field !== null && fields.includes(error.field) ? error : { ...error, field: null },
        ),
      );
      if (outcome.errors.length === 0) setNote(outcome.note ?? null);
    } catch (error) {
      setErrors([{ code: "INVALID", field: null, message: explain(error) }]);
    } finally {
      setBusy(false);
    }
  }
  return { errors, note, busy, send };
}

/** Focuses the first error in an element after each failed submit: a field, a message, or a list. */
export function useFirstError<TElement extends HTMLElement>(errors: readonly unknown[]): RefObject<TElement | null> {
  const place = useRef<TElement>(null);
  useEffect(() => {
    if (errors.length === 0) return;
    place.current
      ?.querySelector<HTMLElement>("[aria-invalid=true], [role=alert]:not(:empty), [data-errors]")
      ?.focus();
  }, [errors]);
  return place;
}

/** A form that submits its fields by name, and focuses the first error. */
export function Form(props: {
  label: string;
  submit: string;
  sending: Sending;
  onSend: (fields: FormData) => void;
  children: ReactNode;
}) {
  const { label, submit, sending, onSend, children } = props;
  const form = useFirstError<HTMLFormElement>(sending.errors);
  const onSubmit = (event: SubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    if (!sending.busy) onSend(new FormData(event.currentTarget));
  };
  return (
    <form ref={form} aria-label={label} onSubmit={onSubmit} noValidate>
      {children}
      <Notices sending={sending} />
      <Button type="submit" busy={sending.busy}>
        {submit}
      </Button>
    </form>
  );
}

/** A button that keeps the focus while it is busy, and ignores clicks then. */
export function Button(props: {
  type?: "button" | "submit";
  quiet?: boolean;
  busy: boolean;
  disabled?: boolean;
  onClick?: () => void;
  children: string;
}) {
  const { type = "button", quiet = false, busy, disabled = false, onClick, children } = props;
  return (
    <button
      type={type}
      className={quiet ? "quiet" : undefined}
      disabled={disabled}
      aria-disabled={busy || disabled}
      onClick={() => {
        if (!busy) onClick?.();
      }}
    >
      {children}
    </button>
  );
}

/** The result, announced by screen readers. Errors of fields are shown at the fields. */
export function Notices({ sending: { errors, note } }: { sending: Sending }) {
  const general = errors.filter(({ field }) => field === null);
  return (
    <>
      <div role="alert" tabIndex={-1}>
        {general.map(({ message }) => (
          <p key={message} className="bad">
            {message}
          </p>
        ))}
      </div>
      <div role="status">{note === null ? null : <p className="good">{note}</p>}</div>
    </>
  );
}

/** A labelled field with its errors. */
export function Field(props: {
  name: string;
  label: string;
  errors: readonly Mendable[];
  type?: "text" | "password" | "tel";
  /** On-screen keyboard. Email fields have the type `text`: browsers reject some addresses in `email` fields. */
  inputMode?: "email";
  value?: string;
  autoComplete?: string;
  lines?: number;
}) {
  const { name, label, errors, type = "text", inputMode, value = "", autoComplete = "off", lines } = props;
  const id = useId();
  const wrong = errors.filter(({ field }) => field === name);
  const shared = {
    id,
    name,
    autoComplete,
    defaultValue: value,
    "aria-invalid": wrong.length > 0,
    "aria-describedby": wrong.length > 0 ? `${id}-wrong` : undefined,
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {lines === undefined ? <input type={type} inputMode={inputMode} {...shared} /> : <textarea rows={lines} {...shared} />}
      {wrong.length > 0 && (
        <p id={`${id}-wrong`} className="bad">
          {wrong.map(({ message }) => message).join(" ")}
        </p>
      )}
    </div>
  );
}

/** Returns the text of a field. */
export function text(fields: FormData, name: string): string {
  const value = fields.get(name);
  return typeof value === "string" ? value : "";
}
